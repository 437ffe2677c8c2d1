// The real data sets, read by us and by loops that know nothing of Arrow or panels.
#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>

#include "data/ingest/frequency.h"
#include "data/ingest/long_table.h"
#include "data/ingest/m5.h"
#include "data/ingest/rossmann.h"
#include "data/ingest/sales_table.h"
#include "tests/ingest/tables.h"
#include "tests/support/paths.h"

namespace shelfcast::data {
namespace {

using namespace shelfcast::testing;

class RealData : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto shared = shared_dir();
    if (!shared) GTEST_SKIP() << "no shared data here";
    data_ = *shared / "data";
  }
  std::filesystem::path data_;
};

double total(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += value == value ? value : 0;
  return sum;
}

std::int64_t missing(const std::vector<float>& values) {
  return std::count_if(values.begin(), values.end(), [](float x) { return x != x; });
}

// Units per day of a wide CSV without quotes, summed over its rows.
std::vector<double> sums_per_day(const std::filesystem::path& file, std::size_t first_column) {
  std::ifstream in(file);
  std::string line, cell;
  std::getline(in, line);
  std::vector<double> sums;
  while (std::getline(in, line)) {
    std::istringstream cells(line);
    for (std::size_t column = 0; std::getline(cells, cell, ','); ++column) {
      if (column < first_column) continue;
      if (sums.size() <= column - first_column) sums.resize(column - first_column + 1);
      sums[column - first_column] += std::stod(cell);
    }
  }
  return sums;
}

// Sums of the demand of those series whose store has this code.
std::vector<double> sums_per_day(const Panel& panel, const std::vector<float>& demand, std::int32_t store) {
  std::vector<double> sums(static_cast<std::size_t>(panel.info.demand_end));
  const auto& stores = panel.table.codes[panel.info.static_index("store")];
  for (std::size_t series = 0; series < stores.size(); ++series) {
    if (stores[series] != store) continue;
    for (std::size_t day = 0; day < sums.size(); ++day) {
      const float value = demand[series * static_cast<std::size_t>(panel.info.steps) + day];
      if (value == value) sums[day] += value;
    }
  }
  return sums;
}

TEST_F(RealData, m5_sums_per_day_of_one_store_agree_between_its_csv_the_parquet_and_a_plain_loop) {
  const auto expected = sums_per_day(data_ / "m5/sales_CA_1.csv", 6);
  ASSERT_EQ(expected.size(), 419U);
  const Panel one = read_m5(find_m5_files(data_ / "m5/sales_CA_1.csv"));
  EXPECT_EQ(sums_per_day(one, all_rows(one).demand, 0), expected);
  const Panel all = read_m5(find_m5_files(data_ / "m5/sales_d1495_d1913.parquet"));
  EXPECT_EQ(all.info.statics[all.info.static_index("store")].vocabulary.front(), "CA_1");
  EXPECT_EQ(sums_per_day(all, all_rows(all).demand, 0), expected);
}

TEST_F(RealData, m5_has_all_its_series_days_and_prices) {
  const Panel panel = read_m5(find_m5_files(data_ / "m5/sales_d1495_d1913.parquet"));
  EXPECT_EQ(panel.info.series, 30'490);
  EXPECT_EQ(panel.info.demand_end, 419);
  EXPECT_EQ(panel.info.steps, 419 + 56);
  EXPECT_EQ(format_date(panel.info.axis.start), "2015-03-03");
  EXPECT_EQ(panel.info.statics[panel.info.static_index("item")].vocabulary.size(), 3049U);
  const PanelRows rows = all_rows(panel);
  // A day is observed exactly where there is a price, or where one was there before.
  const auto steps = static_cast<std::size_t>(panel.info.steps);
  for (std::size_t series = 0; series < 30'490; series += 97) {
    for (std::size_t day = 0; day < 419; ++day) {
      const bool priced = rows.covariates[0][series * steps + day] > 0,
                 observed = rows.demand[series * steps + day] >= 0;
      EXPECT_TRUE(!priced || observed) << panel.table.names[series] << " day " << day;
    }
  }
}

TEST_F(RealData, rossmann_is_the_published_grid) {
  const Panel panel = read_rossmann(find_rossmann_file(data_ / "rossmann"));
  EXPECT_EQ(panel.info.series, 1115);
  EXPECT_EQ(panel.info.steps, 942);
  EXPECT_EQ(format_date(panel.info.axis.start), "2013-01-01");
  const PanelRows rows = all_rows(panel);
  EXPECT_EQ(missing(rows.demand), 180 * 184);
  const auto& open = rows.covariates[panel.info.covariate_index("open")];
  EXPECT_EQ(std::count(open.begin(), open.end(), 1.0F), 844'338);
  EXPECT_EQ(std::count_if(rows.demand.begin(), rows.demand.end(), [](float x) { return x > 0; }), 844'338);

  const Panel weekly = to_frequency(panel, Frequency::weekly, EmptyPeriod::zero);
  EXPECT_EQ(format_date(weekly.info.axis.start), "2013-01-07");
  EXPECT_EQ(weekly.info.steps, 133);
  EXPECT_EQ(weekly.info.demand_end, 133);
  const PanelRows weeks = all_rows(weekly);
  EXPECT_EQ(missing(weeks.demand), 0);
  double expected = 0;  // all but the six days before the first Monday and the five after the last Sunday
  for (std::size_t i = 0; i < rows.demand.size(); ++i) {
    const std::size_t day = i % 942;
    if (day >= 6 && day < 6 + 133 * 7 && rows.demand[i] > 0) expected += rows.demand[i];
  }
  EXPECT_EQ(total(weeks.demand), expected);
}

TEST_F(RealData, tiny_m5_as_a_long_table_agrees_with_the_wide_one) {
  LongMap map;
  map.series = {"item_id", "store_id"};
  map.date = "date";
  map.target = "value";
  map.statics = {{"store", "store_id", Kind::categorical}, {"state", "state_id", Kind::categorical}};
  map.covariates = {
      {"price", "sell_price", Role::known, Kind::numeric, "series", Aggregate::mean, Fill::none},
      {"snap", "snap", Role::known, Kind::numeric, "state", Aggregate::mean, Fill::none},
      {"event", "event_name_1", Role::known, Kind::categorical, "all", Aggregate::last, Fill::none}};
  const Panel tiny = read_long_table(data_ / "m5/tiny_m5.parquet", map);
  ASSERT_EQ(tiny.info.series, 280);
  ASSERT_EQ(tiny.info.steps, 1913);
  const Panel wide = read_m5(find_m5_files(data_ / "m5/sales_d1495_d1913.parquet"));
  const PanelRows from_long = all_rows(tiny), from_wide = all_rows(wide);
  std::map<std::string, std::size_t> positions;
  for (std::size_t i = 0; i < wide.table.names.size(); ++i) positions[wide.table.names[i]] = i;
  std::int64_t different = 0;
  for (std::size_t series = 0; series < 280; ++series) {
    std::string name = tiny.table.names[series];
    name[name.find('/')] = '_';
    ASSERT_TRUE(positions.count(name)) << name;
    const std::size_t row = positions[name] * static_cast<std::size_t>(wide.info.steps);
    for (std::size_t day = 0; day < 419; ++day) {
      const std::size_t at = series * 1913 + 1494 + day;
      if (from_wide.demand[row + day] == from_wide.demand[row + day] &&
          from_long.demand[at] != from_wide.demand[row + day])
        ++different;
      const float price = from_long.covariates[0][at], weekly = from_wide.covariates[0][row + day];
      if (price == price && weekly == weekly && price != weekly) ++different;
    }
  }
  EXPECT_EQ(different, 0);
  // One event name a day, and it agrees with the calendar's.
  EXPECT_EQ(tiny.shared[2].size(), 1913U);
  for (std::size_t day = 0; day < 419; ++day) {
    const float a = tiny.shared[2][1494 + day], b = wide.shared[wide.info.covariate_index("event_name")][day];
    ASSERT_EQ(a < 0, b < 0) << day;
    if (a >= 0) {
      EXPECT_EQ(tiny.info.covariates[2].vocabulary[static_cast<std::size_t>(a)],
                wide.info.covariates[wide.info.covariate_index("event_name")]
                    .vocabulary[static_cast<std::size_t>(b)]);
    }
  }
}

TEST_F(RealData, online_retail_invoices_become_daily_units_with_one_text_each) {
  LongMap map;
  map.series = {"StockCode"};
  map.date = "InvoiceDate";
  map.target = "Quantity";
  map.negative = Negative::drop;
  map.duplicates = Duplicates::sum;
  map.gaps = Gaps::zero;
  map.statics = {{"item", "StockCode", Kind::categorical}};
  map.item_level = "item";
  map.text = "Description";
  map.keep_rows = {{LongMap::RowFilter::Rule::positive, "UnitPrice", ""},
                   {LongMap::RowFilter::Rule::matches, "StockCode", "^[0-9]{5}"}};
  const Panel panel = read_long_table(data_ / "online-retail/online_retail.csv.gz", map);
  EXPECT_EQ(format_date(panel.info.axis.start), "2010-12-01");
  EXPECT_EQ(format_date(panel.info.axis.date_of(panel.info.demand_end - 1)), "2011-12-09");
  EXPECT_EQ(panel.documents.size(), static_cast<std::size_t>(panel.info.series));
  // Sums, counts: pandas on the same file with the same filters.
  EXPECT_EQ(panel.info.series, 3900);
  EXPECT_EQ(total(all_rows(panel).demand), 5'576'996);
  const auto found = std::find_if(panel.documents.begin(), panel.documents.end(),
                                  [](const Document& d) { return d.item == "85123A"; });
  ASSERT_NE(found, panel.documents.end());
  EXPECT_EQ(found->text, "WHITE HANGING HEART T-LIGHT HOLDER");
}

TEST_F(RealData, vn2_reads_as_a_wide_sales_table) {
  const SalesTable table = read_sales_table(data_ / "vn2/sales.csv");
  EXPECT_EQ(table.series.size(), 599U);
  EXPECT_EQ(table.axis.frequency, Frequency::weekly);
  EXPECT_EQ(table.steps, 157);
  const auto sums = sums_per_day(data_ / "vn2/sales.csv", 2);
  double expected = 0;
  for (const double sum : sums) expected += sum;
  EXPECT_NEAR(total(table.demand), expected, 1e-6 * expected);
}

}  // namespace
}  // namespace shelfcast::data
