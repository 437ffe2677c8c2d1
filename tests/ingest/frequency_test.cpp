#include "data/ingest/frequency.h"

#include "tests/ingest/tables.h"

namespace shelfcast::data {
namespace {

using namespace shelfcast::testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// One series from Saturday 2024-01-06: demand is the day's number, for `observed` of `steps` days.
Panel daily(std::int64_t steps, std::int64_t observed) {
  Panel panel;
  panel.info.axis = {*parse_date("2024-01-06"), Frequency::daily};
  panel.info.steps = steps;
  panel.info.demand_end = observed;
  panel.info.series = 1;
  panel.info.covariates = {{"price", Role::known, Kind::numeric, "series", {}},
                           {"visitors", Role::past, Kind::numeric, "series", {}},
                           {"stock", Role::past, Kind::numeric, "series", {}},
                           {"event", Role::known, Kind::categorical, "all", {"x", "y"}}};
  panel.aggregates = {Aggregate::mean, Aggregate::sum, Aggregate::last, Aggregate::first};
  panel.shared.resize(4);
  for (std::int64_t i = 0; i < steps; ++i) panel.shared[3].push_back(i == 5 ? 1 : i == 6 ? 0 : -1);
  panel.table.names = {"a"};
  panel.fill = [steps, observed](std::int64_t, std::int64_t, PanelRows& rows) {
    rows = {std::vector<float>(static_cast<std::size_t>(steps), kNan), {{}, {}, {}}};
    for (std::int64_t i = 0; i < steps; ++i) {
      if (i < observed) rows.demand[static_cast<std::size_t>(i)] = static_cast<float>(i);
      for (auto& values : rows.covariates) values.push_back(static_cast<float>(i));
    }
  };
  return panel;
}

TEST(Frequency, weeks_run_from_monday_to_sunday_and_only_whole_ones_are_kept) {
  const Panel weekly = to_frequency(daily(27, 20), Frequency::weekly, EmptyPeriod::missing);
  EXPECT_EQ(format_date(weekly.info.axis.start), "2024-01-08");
  EXPECT_EQ(weekly.info.axis.frequency, Frequency::weekly);
  EXPECT_EQ(weekly.info.steps, 3);       // days 2-8, 9-15, 16-22; 23-26 are no whole week
  EXPECT_EQ(weekly.info.demand_end, 2);  // demand ends within the third
  const PanelRows rows = all_rows(weekly);
  EXPECT_THAT(rows.demand, same_floats({35, 84, kNan}));
  EXPECT_THAT(rows.covariates[0], same_floats({5, 12, 19}));
  EXPECT_THAT(rows.covariates[1], same_floats({35, 84, 133}));
  EXPECT_THAT(rows.covariates[2], same_floats({8, 15, 22}));
  EXPECT_THAT(weekly.shared[3], ElementsAre(1, -1, -1));
}

TEST(Frequency, days_that_are_not_observed_make_a_week_missing_or_count_as_zero_as_asked) {
  Panel panel = daily(23, 23);
  const auto fill = panel.fill;
  panel.fill = [fill](std::int64_t first, std::int64_t series, PanelRows& rows) {
    fill(first, series, rows);
    for (std::size_t i = 9; i < 16; ++i) rows.demand[i] = kNan;
    rows.demand[3] = kNan;
  };
  EXPECT_THAT(all_rows(to_frequency(panel, Frequency::weekly, EmptyPeriod::missing)).demand,
              same_floats({kNan, kNan, 133}));
  EXPECT_THAT(all_rows(to_frequency(panel, Frequency::weekly, EmptyPeriod::zero)).demand,
              same_floats({32, 0, 133}));
}

TEST(Frequency, months_are_calendar_months) {
  const Panel monthly = to_frequency(daily(80, 80), Frequency::monthly, EmptyPeriod::missing);
  EXPECT_EQ(format_date(monthly.info.axis.start), "2024-02-01");
  const PanelRows rows = all_rows(monthly);
  float february = 0;
  for (int day = 26; day < 26 + 29; ++day) february += static_cast<float>(day);  // 2024-02-01 is day 26
  EXPECT_THAT(rows.demand, same_floats({february}));  // 25 days of March are no whole month
}

TEST(Frequency, refuses_a_table_without_a_whole_week) {
  EXPECT_THAT(message_of([] { to_frequency(daily(8, 8), Frequency::weekly, EmptyPeriod::missing); }),
              HasSubstr("no whole week"));
}

}  // namespace
}  // namespace shelfcast::data
