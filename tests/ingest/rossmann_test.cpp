#include "data/ingest/rossmann.h"

#include <fmt/format.h>

#include "data/ingest/frequency.h"
#include "data/ingest/ingest.h"
#include "tests/ingest/tables.h"

namespace shelfcast::data {
namespace {

using namespace shelfcast::testing;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kHeader =
    "Store,Date,Sales,Customers,Open,Promo,StateHoliday,SchoolHoliday,StoreType,Assortment\n";

std::vector<float> row_of(const Panel& panel, const std::vector<float>& values, std::int64_t series) {
  return {values.begin() + series * panel.info.steps, values.begin() + (series + 1) * panel.info.steps};
}

TEST(Rossmann, absent_rows_are_closed_days) {
  const TemporaryFolder folder;
  const auto file = write_text(folder / "rossmann.csv", std::string(kHeader) +
                                                            "1,2013-01-01,100,10,1,1,a,0,c,a\n"
                                                            "1,2013-01-03,300,30,1,0,0,1,c,a\n"
                                                            "2,2013-01-02,200,20,1,1,b,0,d,b\n");
  const Panel panel = read_rossmann(find_rossmann_file(folder.path()));
  const PanelRows rows = all_rows(panel);
  EXPECT_THAT(panel.table.names, ElementsAre("store_1", "store_2"));
  EXPECT_EQ(panel.info.steps, 3);
  EXPECT_THAT(rows.demand, same_floats({100, 0, 300, 0, 200, 0}));
  EXPECT_THAT(rows.covariates[panel.info.covariate_index("open")], same_floats({1, 0, 1, 0, 1, 0}));
  EXPECT_THAT(rows.covariates[panel.info.covariate_index("promo")], same_floats({1, kNan, 0, kNan, 1, kNan}));
  EXPECT_THAT(rows.covariates[panel.info.covariate_index("state_holiday")],
              same_floats({0, -1, -1, -1, 1, -1}));
  EXPECT_THAT(rows.covariates[panel.info.covariate_index("customers")], same_floats({10, 0, 30, 0, 20, 0}));
  EXPECT_EQ(panel.info.covariates[panel.info.covariate_index("customers")].role, Role::past);
  EXPECT_THAT(panel.info.covariates[panel.info.covariate_index("state_holiday")].vocabulary,
              ElementsAre("a", "b"));
  EXPECT_THAT(panel.table.codes[panel.info.static_index("store_type")], ElementsAre(0, 1));
}

TEST(Rossmann, the_half_year_gap_is_missing_only_for_stores_without_any_row_in_it) {
  const TemporaryFolder folder;
  const auto file = write_text(folder / "rossmann.csv", std::string(kHeader) +
                                                            "1,2014-06-30,1,1,1,0,0,0,c,a\n"
                                                            "1,2015-01-01,1,1,1,0,0,0,c,a\n"
                                                            "2,2014-08-01,1,1,1,0,0,0,c,a\n");
  const Panel panel = read_rossmann(file);
  const PanelRows rows = all_rows(panel);
  ASSERT_EQ(panel.info.steps, 186);
  const auto gap = row_of(panel, rows.demand, 0), none = row_of(panel, rows.demand, 1);
  EXPECT_EQ(gap.front(), 1);
  EXPECT_EQ(gap.back(), 1);
  EXPECT_EQ(std::count_if(gap.begin(), gap.end(), [](float x) { return x != x; }), 184);
  EXPECT_EQ(std::count(none.begin(), none.end(), 0.0F), 185);
}

std::vector<float> column(const Corpus& corpus, const std::string& covariate) {
  PanelBlock block;
  const std::vector<std::size_t> one{corpus.info().covariate_index(covariate)};
  corpus.read(0, corpus.info().series, 0, corpus.info().steps, one, block);
  return block.columns[0].values;
}

std::vector<float> demand(const Corpus& corpus) {
  PanelBlock block;
  corpus.read(0, corpus.info().series, 0, corpus.info().steps, {}, block);
  return block.demand;
}

// Rows of stores 1 to 4 from 2014-06-20 to 2015-01-20: 1 has some every day but Sundays, 2 none in the gap, 3
// none in September, 4 comes in 2015.
std::string stores(const std::string& first, const std::string& last) {
  std::string text = kHeader;
  for (Date day = *parse_date(first); day <= *parse_date(last); day += std::chrono::days{1}) {
    if (std::chrono::weekday{day} == std::chrono::Sunday) continue;
    const std::string date = format_date(day);
    const auto row = [&](int store) {
      text += fmt::format("{},{},{},9,1,1,0,0,c,a\n", store, date, store * 100);
    };
    row(1);
    if (date < "2014-07-01" || date > "2014-12-31") row(2);
    if (date < "2014-09-01" || date > "2014-09-30") row(3);
    if (date > "2015-01-09") row(4);
  }
  return text;
}

TEST(Rossmann, tables_cut_within_the_gap_make_what_one_table_makes) {
  for (const std::optional<Frequency> frequency :
       {std::optional<Frequency>{}, std::optional(Frequency::weekly)}) {
    const TemporaryFolder folder;
    const auto config = [&](const std::string& first, const std::string& last, const std::string& out) {
      return IngestConfig{.format = TableFormat::rossmann,
                          .from = write_text(folder / "rossmann.csv", stores(first, last)),
                          .out = folder / out,
                          .map = {},
                          .series_limit = {},
                          .frequency = frequency,
                          .until = {}};
    };
    ingest(config("2014-06-20", "2015-01-20", "whole.corpus"));
    // The second table lies within the gap, in the month in which store 3 is closed. Of weeks, tables reach
    // back.
    ingest(config("2014-06-20", "2014-08-31", "parts.corpus"));
    append(config(frequency ? "2014-08-25" : "2014-09-01", "2014-09-14", "parts.corpus"));
    append(config(frequency ? "2014-09-08" : "2014-09-15", "2014-11-30", "parts.corpus"));
    append(config(frequency ? "2014-11-24" : "2014-12-01", "2015-01-20", "parts.corpus"));
    const Corpus whole(folder / "whole.corpus"), parts(folder / "parts.corpus");
    EXPECT_EQ(parts.series_names(), whole.series_names());
    EXPECT_THAT(demand(parts), same_floats(demand(whole)));
    if (frequency)
      continue;  // what of a store without rows is closed and what is the gap is known of days only
    for (const CovariateInfo& covariate : whole.info().covariates)
      EXPECT_THAT(column(parts, covariate.name), same_floats(column(whole, covariate.name)))
          << covariate.name;
  }
}

TEST(Rossmann, until_leaves_stores_out_that_come_later) {
  const TemporaryFolder folder;
  const auto file = write_text(folder / "rossmann.csv", stores("2014-06-20", "2015-01-20"));
  const Panel panel = read_rossmann(file, *parse_date("2015-01-05"));
  EXPECT_THAT(panel.table.names, ElementsAre("store_1", "store_2", "store_3"));
  EXPECT_EQ(panel.info.axis.date_of(panel.info.steps - 1), *parse_date("2015-01-05"));
  EXPECT_THAT(message_of([&] { read_rossmann(file, *parse_date("2014-01-05")); }),
              HasSubstr("nothing is left"));
}

TEST(Rossmann, refuses_two_rows_of_one_day) {
  const TemporaryFolder folder;
  const auto file = write_text(folder / "rossmann.csv", std::string(kHeader) +
                                                            "7,2014-06-30,1,1,1,0,0,0,c,a\n"
                                                            "7,2014-06-30,2,1,1,0,0,0,c,a\n");
  EXPECT_THAT(message_of([&] { read_rossmann(file); }), HasSubstr("store 7 has two rows on 2014-06-30"));
}

}  // namespace
}  // namespace shelfcast::data
