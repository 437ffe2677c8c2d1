#include "data/ingest/m5.h"

#include <cmath>

#include "tests/ingest/compressed_tables.h"
#include "tests/ingest/tables.h"

namespace shelfcast::data {
namespace {

using namespace shelfcast::testing;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Two items in two stores, d_3 to d_6; the calendar knows d_1 to d_8, two days a week here.
constexpr const char* kSales =
    "id,item_id,dept_id,cat_id,store_id,state_id,d_3,d_4,d_5,d_6\n"
    "x,FOOD_1,FOOD_A,FOOD,CA_1,CA,0,0,2,3\n"
    "x,FOOD_1,FOOD_A,FOOD,TX_1,TX,1,0,0,4\n"
    "x,TOY_1,TOY_A,TOY,CA_1,CA,0,7,0,0\n";
constexpr const char* kCalendar =
    "date,wm_yr_wk,d,event_name_1,event_type_1,event_name_2,event_type_2,snap_CA,snap_TX\n"
    "2011-01-29,11101,d_1,,,,,0,0\n"
    "2011-01-30,11101,d_2,,,,,0,1\n"
    "2011-01-31,11102,d_3,,,,,1,0\n"
    "2011-02-01,11102,d_4,SuperBowl,Sporting,,,1,1\n"
    "2011-02-02,11103,d_5,,,,,0,1\n"
    "2011-02-03,11103,d_6,Easter,Cultural,Orthodox,Religious,0,0\n"
    "2011-02-04,11104,d_7,,,,,1,0\n"
    "2011-02-05,11104,d_8,SuperBowl,Sporting,,,0,1\n";
constexpr const char* kPrices =
    "store_id,item_id,wm_yr_wk,sell_price\n"
    "CA_1,FOOD_1,11103,2.5\n"
    "CA_1,FOOD_1,11104,3\n"
    "TX_1,FOOD_1,11101,1\n"
    "TX_1,FOOD_1,11102,1\n"
    "TX_1,FOOD_1,11104,1.25\n"
    "CA_1,TOY_1,11103,9\n"
    "XX_9,OTHER,11103,9\n";

class M5 : public ::testing::Test {
 protected:
  void SetUp() override {
    write_text(folder_ / "sales_train_evaluation.csv", kSales);
    write_text(folder_ / "calendar.csv", kCalendar);
    write_text(folder_ / "sell_prices.csv", kPrices);
  }
  Panel read() const { return read_m5(find_m5_files(folder_.path())); }
  std::string message() const {
    return message_of([&] { read(); });
  }
  TemporaryFolder folder_;
};

TEST_F(M5, starts_with_the_first_sale_and_goes_on_to_the_end_of_the_calendar) {
  const Panel panel = read();
  EXPECT_EQ(format_date(panel.info.axis.start), "2011-01-31");
  EXPECT_EQ(panel.info.steps, 6);
  EXPECT_EQ(panel.info.demand_end, 4);
  EXPECT_THAT(panel.table.names, ElementsAre("FOOD_1_CA_1", "FOOD_1_TX_1", "TOY_1_CA_1"));
  EXPECT_THAT(panel.info.notes, HasSubstr("not observed"));
}

TEST_F(M5, days_before_the_first_price_are_missing_unless_something_was_sold) {
  const PanelRows rows = all_rows(read());
  EXPECT_THAT(
      rows.demand,
      same_floats({kNan, kNan, 2, 3, kNan, kNan,  // first price in d_5's week
                   1, 0, 0, 4, kNan, kNan,        // priced before the axis; a week without price is observed
                   kNan, 7, 0, 0, kNan, kNan}));  // a sale before the first price is kept
}

TEST_F(M5, prices_hold_for_their_week_and_go_on_after_the_sales) {
  const PanelRows rows = all_rows(read());
  EXPECT_THAT(rows.covariates[0], same_floats({kNan, kNan, 2.5, 2.5, 3, 3,    //
                                               1, 1, kNan, kNan, 1.25, 1.25,  //
                                               kNan, kNan, 9, 9, kNan, kNan}));
}

TEST_F(M5, events_are_shared_and_snap_follows_the_state) {
  const Panel panel = read();
  const auto& name = panel.info.covariates[panel.info.covariate_index("event_name")];
  EXPECT_THAT(name.vocabulary, ElementsAre("SuperBowl", "Easter"));
  EXPECT_EQ(name.per, "all");
  EXPECT_THAT(panel.shared[panel.info.covariate_index("event_name")], ElementsAre(-1, 0, -1, 1, -1, 0));
  EXPECT_THAT(panel.shared[panel.info.covariate_index("event_type_2")], ElementsAre(-1, -1, -1, 0, -1, -1));
  EXPECT_EQ(panel.info.covariates[panel.info.covariate_index("snap")].per, "state");
  EXPECT_THAT(panel.shared[panel.info.covariate_index("snap")],
              ElementsAre(1, 1, 0, 0, 1, 0, /*TX*/ 0, 1, 1, 0, 0, 1));
}

TEST_F(M5, statics_name_the_levels) {
  const Panel panel = read();
  EXPECT_EQ(panel.info.category_level, "cat");
  EXPECT_THAT(panel.table.codes[panel.info.static_index("item")], ElementsAre(0, 0, 1));
  EXPECT_THAT(panel.table.codes[panel.info.static_index("state")], ElementsAre(0, 1, 0));
  EXPECT_THAT(panel.info.statics[panel.info.static_index("dept")].vocabulary, ElementsAre("FOOD_A", "TOY_A"));
}

TEST_F(M5, parquet_gives_the_same_as_csv) {
  const PanelRows csv = all_rows(read());
  const TemporaryFolder other;
  write_parquet(other / "sales_d3_d6.parquet", kSales, Packing::zstd);
  write_parquet(other / "calendar.parquet", kCalendar, Packing::snappy);
  write_parquet(other / "sell_prices.parquet", kPrices, Packing::gzip);
  const PanelRows parquet = all_rows(read_m5(find_m5_files(other / "sales_d3_d6.parquet")));
  EXPECT_THAT(parquet.demand, same_floats(csv.demand));
  EXPECT_THAT(parquet.covariates[0], same_floats(csv.covariates[0]));
}

TEST_F(M5, a_limit_keeps_the_first_series_and_all_levels) {
  const Panel panel = limit_series(read(), 2);
  EXPECT_EQ(panel.info.series, 2);
  EXPECT_EQ(panel.info.statics[panel.info.static_index("item")].vocabulary.size(), 2U);
  EXPECT_THAT(panel.table.names, ElementsAre("FOOD_1_CA_1", "FOOD_1_TX_1"));
}

TEST_F(M5, several_files_of_sales_are_one_table_unless_they_share_series) {
  std::filesystem::remove(folder_ / "sales_train_evaluation.csv");
  write_text(folder_ / "sales_a.csv", kSales);
  write_text(
      folder_ / "sales_b.csv",
      "id,item_id,dept_id,cat_id,store_id,state_id,d_3,d_4,d_5,d_6\nx,TOY_1,TOY_A,TOY,TX_1,TX,1,2,3,4\n");
  EXPECT_EQ(read().info.series, 4);
  write_text(folder_ / "sales_b.csv", kSales);
  EXPECT_THAT(message(), AllOf(HasSubstr("FOOD_1_CA_1"), HasSubstr("--from FILE")));
}

TEST_F(M5, names_what_is_missing_or_out_of_order) {
  write_text(folder_ / "sales_train_evaluation.csv",
             "id,item_id,dept_id,cat_id,store_id,state_id,d_3,d_5\nx,I,D,C,S,CA,1,2\n");
  EXPECT_THAT(message(), HasSubstr("d_5 follows d_3"));
  write_text(folder_ / "sales_train_evaluation.csv",
             "id,item_id,dept_id,cat_id,store,state_id,d_3\nx,I,D,C,S,CA,1\n");
  EXPECT_THAT(message(), AllOf(HasSubstr("no column \"store_id\""), HasSubstr("d")));
  write_text(folder_ / "sales_train_evaluation.csv",
             "id,item_id,dept_id,cat_id,store_id,state_id,d_8,d_9\nx,I,D,C,S,CA,1,2\n");
  EXPECT_THAT(message(), HasSubstr("does not cover the sales"));
  std::filesystem::remove(folder_ / "sell_prices.csv");
  EXPECT_THAT(message(), HasSubstr("no sell_prices.csv"));
  std::filesystem::remove(folder_ / "sales_train_evaluation.csv");
  EXPECT_THAT(message(), HasSubstr("no sales_*.csv"));
}

}  // namespace
}  // namespace shelfcast::data
