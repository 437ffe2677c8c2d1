#include "eval/origins.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace shelfcast::eval {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

data::CorpusInfo days(std::int64_t demand_end) {
  data::CorpusInfo info;
  info.axis.start = *parse_date("2024-01-01");
  info.steps = demand_end + 30;  // known covariates go on after the last demand
  info.demand_end = demand_end;
  return info;
}

BacktestConfig config(std::int64_t origins, std::int64_t stride, std::int64_t horizon) {
  BacktestConfig config;
  config.origins = origins;
  config.stride = stride;
  config.horizon = horizon;
  return config;
}

std::string message(const BacktestConfig& config, const data::CorpusInfo& info, std::int64_t validate_end) {
  try {
    rolling_origins(config, info, validate_end);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    return error.what();
  }
  return "no error";
}

TEST(Origins, last_horizon_ends_on_the_last_observed_step) {
  EXPECT_THAT(rolling_origins(config(3, 7, 14), days(100), 50), ElementsAre(72, 79, 86));
  EXPECT_THAT(rolling_origins(config(1, 7, 14), days(100), 86), ElementsAre(86));
}

TEST(Origins, reaching_into_training_is_an_error_that_names_both_dates) {
  // Origin 86 is 2024-03-27; the model has seen everything before step 87, 2024-03-28.
  const std::string text = message(config(1, 7, 14), days(100), 87);
  EXPECT_THAT(text, HasSubstr("2024-03-27"));
  EXPECT_THAT(text, HasSubstr("2024-03-28"));
  EXPECT_THAT(text, HasSubstr("validate_until"));
  // The first origin is named, not the last.
  EXPECT_THAT(message(config(3, 7, 14), days(100), 80), HasSubstr("origin 2024-03-13"));
}

TEST(Origins, more_than_the_history_holds_is_an_error) {
  EXPECT_THAT(message(config(20, 7, 14), days(100), 0), HasSubstr("20 origins do not fit"));
  EXPECT_THAT(message(config(1, 7, 101), days(100), 0), HasSubstr("100 steps"));
  EXPECT_THAT(message(config(1, 7, 100), days(100), 0),
              HasSubstr("do not fit"));  // no history left before it
  EXPECT_EQ(rolling_origins(config(1, 7, 99), days(100), 0).front(), 1);
}

TEST(Origins, windows_are_sorted_by_series_then_origin) {
  const auto windows = evaluation_windows(2, {5, 9});
  ASSERT_EQ(windows.size(), 4U);
  EXPECT_EQ(windows[0].series, 0);
  EXPECT_EQ(windows[1].origin, 9);
  EXPECT_EQ(windows[2].series, 1);
  EXPECT_EQ(windows[2].origin, 5);
}

TEST(Origins, configuration_names_the_field_that_is_wrong) {
  BacktestConfig wrong = config(0, 7, 14);
  EXPECT_THROW(wrong.validate(), Error);
  try {
    wrong = config(1, 0, 14);
    wrong.validate();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("backtest.stride is 0"));
  }
}

TEST(Season, is_a_week_or_a_year_of_the_corpus_steps_unless_it_is_said) {
  BacktestConfig config;
  EXPECT_EQ(season_of(config, Frequency::daily), 7);
  EXPECT_EQ(season_of(config, Frequency::weekly), 52);
  EXPECT_EQ(season_of(config, Frequency::monthly), 12);
  config.season = 4;
  EXPECT_EQ(season_of(config, Frequency::monthly), 4);
}

}  // namespace
}  // namespace shelfcast::eval
