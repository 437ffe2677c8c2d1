// Stock tables: what is read, and what each mistake is told.
#include "scorer/stock_table.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "base/files.h"
#include "scorer/csv.h"
#include "tests/scorer/random_model.h"

namespace shelfcast::scorer::testing {
namespace {

class StockTableTest : public ::testing::Test {
 protected:
  StockTable read(const std::string& text) {
    std::ofstream(path_, std::ios::binary) << text;
    return read_stock_table(path_, names_, 14, defaults_);
  }
  std::string refusal(const std::string& text) {
    try {
      read(text);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
  void expect_refusal(const std::string& text, const std::vector<std::string>& parts) {
    const std::string message = refusal(text);
    for (const std::string& part : parts)
      EXPECT_NE(message.find(part), std::string::npos) << "\"" << part << "\" is not in: " << message;
  }

  ScratchFolder folder_;
  std::filesystem::path path_ = folder_.path() / "stock.csv";
  SeriesNames names_{
      {"north-milk", "north-bread", "south-牛奶"}, {"north", "north", "south"}, {"milk", "bread", "牛奶"}};
  StockDefaults defaults_;
};

TEST_F(StockTableTest, fills_empty_cells_and_absent_columns_with_the_defaults) {
  defaults_.lead_time = 3;
  defaults_.pack_size = 6;
  const StockTable table = read("series,on_hand,lead_time,moq\nnorth-bread,12,,\nnorth-milk,0.5,5,24\n");
  ASSERT_EQ(table.rows.size(), 2U);
  EXPECT_EQ(table.rows[0].series, 1);
  EXPECT_EQ(table.rows[0].position.on_hand, 12.0);
  EXPECT_EQ(table.rows[0].position.lead_time, 3);
  EXPECT_EQ(table.rows[0].position.review_period, 7);
  EXPECT_EQ(table.rows[0].position.pack, 6.0);
  EXPECT_EQ(table.rows[0].policy.service_level, 0.95);
  EXPECT_EQ(table.rows[1].position.lead_time, 5);
  EXPECT_EQ(table.rows[1].position.minimum_order, 24.0);
}

TEST_F(StockTableTest, reads_quotes_byte_order_mark_crlf_and_unicode) {
  const StockTable table = read(
      "\xEF\xBB\xBFstore,item,\"on_hand\",note\r\nsouth,\"牛奶\",3,\"a, "
      "\"\"b\"\"\nc\"\r\n\r\nnorth,milk,4,x");
  ASSERT_EQ(table.rows.size(), 2U);
  EXPECT_EQ(table.rows[0].series, 2);
  EXPECT_EQ(table.rows[1].series, 0);
  EXPECT_EQ(table.ignored_columns, std::vector<std::string>{"note"});
}

TEST_F(StockTableTest, makes_the_critical_ratio_of_costs) {
  const StockTable table = read(
      "series,on_hand,price,unit_cost,holding_cost,shortage_cost,service_level\n"
      "north-milk,1,5,4,,,\nnorth-bread,1,,,1,9,\nsouth-牛奶,1,,,,,0.8\n");
  EXPECT_DOUBLE_EQ(table.rows[0].policy.target(), 0.2);  // 1 / (1 + 4)
  EXPECT_DOUBLE_EQ(table.rows[1].policy.target(), 0.9);
  EXPECT_DOUBLE_EQ(table.rows[2].policy.target(), 0.8);
}

TEST_F(StockTableTest, names_missing_and_misspelt_columns) {
  expect_refusal("series,onhand\nnorth-milk,1\n",
                 {"there is no column \"onhand\"", "did you mean \"on_hand\"?"});
  expect_refusal("series,weight\nnorth-milk,1\n", {"has no column \"on_hand\"", "series, weight"});
  expect_refusal("store,on_hand\nnorth,1\n", {"has no column \"series\""});
  expect_refusal("series,on_hand,on_hand\nnorth-milk,1,2\n", {"\"on_hand\" is there twice"});
}

TEST_F(StockTableTest, names_the_line_of_bad_numbers) {
  expect_refusal("series,on_hand\nnorth-milk,1\nnorth-bread,-2\n", {"stock.csv:3", "on_hand is -2"});
  expect_refusal("series,on_hand\nnorth-milk,many\n", {"stock.csv:2", "\"many\"", "not a number"});
  expect_refusal("series,on_hand\nnorth-milk,nan\n", {"not a number"});
  expect_refusal("series,on_hand\nnorth-milk,\"1,000\"\n", {"\"1,000\"", "not a number"});
  expect_refusal("series,on_hand\nnorth-milk,\n", {"on_hand is empty"});
  expect_refusal("series,on_hand,on_order\nnorth-milk,1,-1\n", {"on_order is -1"});
  expect_refusal("series,on_hand,lead_time\nnorth-milk,1,2.5\n", {"lead_time is 2.5", "whole number"});
  expect_refusal("series,on_hand,review_period\nnorth-milk,1,0\n", {"review_period is 0"});
  expect_refusal("series,on_hand,pack_size\nnorth-milk,1,0\n", {"pack_size is 0"});
  expect_refusal("series,on_hand,service_level\nnorth-milk,1,95\n", {"service_level is 95", "0.95"});
}

TEST_F(StockTableTest, names_unknown_and_repeated_series) {
  expect_refusal("series,on_hand\nnorth-mlik,1\n",
                 {"no series \"north-mlik\"", "did you mean \"north-milk\"?"});
  expect_refusal("store,item,on_hand\nnorth,bred,1\n", {"no item \"bred\" in store \"north\"", "\"bread\""});
  expect_refusal("store,item,on_hand\nnorht,bread,1\n", {"\"norht\"", "did you mean \"north\"?"});
  expect_refusal("series,on_hand\nnorth-milk,1\n\nnorth-milk,2\n", {"stock.csv:4", "second time", "line 2"});
}

TEST_F(StockTableTest, refuses_intervals_beyond_the_horizon) {
  EXPECT_EQ(refusal("series,on_hand,lead_time\nnorth-milk,1,7\n"), "");
  expect_refusal("series,on_hand,lead_time\nnorth-milk,1,8\n", {"stock.csv:2", "15 steps", "forecasts 14"});
}

TEST_F(StockTableTest, refuses_empty_tables_and_ragged_rows) {
  expect_refusal("", {"stock.csv is empty"});
  expect_refusal("series,on_hand\n", {"has no rows"});
  expect_refusal("series,on_hand\nnorth-milk,1,2\n", {"stock.csv:2", "3 cells", "2 columns"});
  expect_refusal("series,on_hand\n\"north-milk,1\n", {"stock.csv:2", "never closed"});
  expect_refusal("series,on_hand\n\"north\"-milk,1\n", {"after a closing quote"});
  expect_refusal("series;on_hand\nnorth-milk;1\n", {"semicolons"});
  expect_refusal("series,on_hand\nnorth-\xC5\xA3\xC4\xCC\xB3,1\n", {"stock.csv:2", "not UTF-8"});
}

TEST_F(StockTableTest, refuses_costs_that_decide_nothing) {
  expect_refusal("series,on_hand,price\nnorth-milk,1,5\n", {"what a missing unit costs is not said"});
  expect_refusal("series,on_hand,shortage_cost\nnorth-milk,1,5\n", {"what an unsold unit costs is not said"});
  expect_refusal("series,on_hand,price,unit_cost\nnorth-milk,1,4,5\n", {"a missing unit costs -1"});
  expect_refusal("series,on_hand,price,unit_cost,service_level\nnorth-milk,1,5,4,0.9\n", {"both"});
  defaults_.policy = Policy::newsvendor;
  expect_refusal("series,on_hand\nnorth-milk,1\n", {"newsvendor policy has no costs"});
}

TEST_F(StockTableTest, refuses_what_the_paths_drawn_cannot_tell) {
  EXPECT_EQ(refusal("series,on_hand,service_level\nnorth-milk,1,0.9995\n"), "");
  expect_refusal("series,on_hand,service_level\nnorth-milk,1,0.9999\n",
                 {"stock.csv:2: service_level is 0.9999", "1024 paths", "ask for at most 0.9995"});
  EXPECT_EQ(refusal("series,on_hand,shortage_cost,holding_cost\nnorth-milk,1,1999,1\n"), "");
  expect_refusal("series,on_hand,shortage_cost,holding_cost\nnorth-milk,1,9999,1\n",
                 {"stock.csv:2: a missing unit costs 9999 and an unsold one 1", "0.9999", "1024 paths"});
  defaults_.service_level = 0.9999;
  expect_refusal("series,on_hand\nnorth-milk,1\n", {"service_level is 0.9999"});
}

TEST_F(StockTableTest, a_template_can_be_read_back) {
  names_.series[1] = "north, \"bread\"";
  write_stock_template(path_, names_, 14, defaults_);
  const StockTable table = read(read_file(path_));
  ASSERT_EQ(table.rows.size(), 3U);
  EXPECT_EQ(table.rows[1].series, 1);
  EXPECT_EQ(table.rows[1].position.lead_time, 7);
  EXPECT_THROW(write_stock_template(path_, names_, 13, defaults_), Error);
}

TEST_F(StockTableTest, a_template_for_the_newsvendor_asks_for_costs) {
  defaults_.policy = Policy::newsvendor;
  write_stock_template(path_, names_, 14, defaults_);
  std::string text = read_file(path_);
  expect_refusal(text, {"no costs"});
  for (std::size_t at = 0; (at = text.find(",7,7,,,", at)) != std::string::npos;)
    text.replace(at, 7, ",7,7,3,2,");
  const StockTable table = read(text);
  EXPECT_EQ(table.rows[2].policy.costs->underage, 1.0);
}

TEST_F(StockTableTest, refuses_a_pair_of_store_and_item_that_is_two_series) {
  names_.item[1] = "milk";
  expect_refusal("store,item,on_hand\nnorth,milk,1\n", {"more than one series"});
}

}  // namespace
}  // namespace shelfcast::scorer::testing
