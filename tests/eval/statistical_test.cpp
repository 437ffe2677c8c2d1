#include "eval/baselines/statistical.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace shelfcast::eval {
namespace {

using testing::ElementsAre;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// One window a row; every row has the same context and horizon.
std::vector<std::vector<float>> forecast(Forecaster& forecaster,
                                         const std::vector<std::vector<float>>& contexts,
                                         std::size_t horizon) {
  data::Batch batch;
  batch.windows = std::ssize(contexts);
  for (const auto& context : contexts)
    batch.context_bt.insert(batch.context_bt.end(), context.begin(), context.end());
  batch.target_bh.assign(contexts.size() * horizon, kNan);
  ForecastValues values;
  forecaster.forecast(batch, values);
  EXPECT_EQ(values.mean_bh, values.median_bh);
  EXPECT_TRUE(values.levels.empty());
  std::vector<std::vector<float>> rows;
  for (std::size_t b = 0; b < contexts.size(); ++b)
    rows.emplace_back(values.mean_bh.begin() + static_cast<std::ptrdiff_t>(b * horizon),
                      values.mean_bh.begin() + static_cast<std::ptrdiff_t>((b + 1) * horizon));
  return rows;
}

TEST(Naive, repeats_the_last_observed_value) {
  const auto naive = make_naive();
  const auto rows = forecast(*naive, {{1, 2, 3}, {1, 2, kNan}, {kNan, 7, kNan}}, 2);
  EXPECT_THAT(rows[0], ElementsAre(3, 3));
  EXPECT_THAT(rows[1], ElementsAre(2, 2));
  EXPECT_THAT(rows[2], ElementsAre(7, 7));
}

TEST(SeasonalNaive, repeats_the_last_season_over_a_longer_horizon) {
  const auto seasonal = make_seasonal_naive(3, SeasonalGaps::last_season);
  EXPECT_THAT(forecast(*seasonal, {{9, 9, 1, 2, 3}}, 7)[0], ElementsAre(1, 2, 3, 1, 2, 3, 1));
}

TEST(SeasonalNaive, looks_back_whole_seasons_over_a_missing_step) {
  const auto seasonal = make_seasonal_naive(3, SeasonalGaps::last_season);
  EXPECT_THAT(forecast(*seasonal, {{1, 2, 3, 4, kNan, 6, 7, kNan, 9}}, 3)[0], ElementsAre(7, 2, 9));
}

TEST(SeasonalNaive, or_takes_the_last_value_before_a_missing_step) {
  const auto seasonal = make_seasonal_naive(3, SeasonalGaps::last_value);
  EXPECT_THAT(forecast(*seasonal, {{1, 2, 3, 4, kNan, 6, 7, kNan, 9}}, 3)[0], ElementsAre(7, 7, 9));
}

TEST(SeasonalNaive, falls_back_on_the_last_observed_value_of_the_context) {
  for (const SeasonalGaps gaps : {SeasonalGaps::last_season, SeasonalGaps::last_value}) {
    const auto seasonal = make_seasonal_naive(3, gaps);
    EXPECT_THAT(forecast(*seasonal, {{kNan, kNan, 5}}, 3)[0], ElementsAre(5, 5, 5));
    EXPECT_THAT(forecast(*make_seasonal_naive(7, gaps), {{4, 5}}, 3)[0],
                ElementsAre(5, 5, 5));  // context shorter than a season
  }
}

TEST(MovingAverage, averages_the_observed_values_of_its_window) {
  const auto average = make_moving_average(3);
  const auto rows = forecast(*average, {{100, 1, 2, 6}, {100, 1, kNan, 6}, {8, kNan, kNan, kNan}}, 2);
  EXPECT_THAT(rows[0], ElementsAre(3, 3));
  EXPECT_THAT(rows[1], ElementsAre(3.5F, 3.5F));
  EXPECT_THAT(rows[2], ElementsAre(8, 8));  // nothing observed inside the window
  EXPECT_THAT(forecast(*make_moving_average(50), {{2, 4}}, 1)[0],
              ElementsAre(3));  // window longer than the context
}

TEST(Baselines, forecast_0_where_nothing_was_ever_observed) {
  for (const auto& baseline : make_baselines(BacktestConfig{})) {
    EXPECT_THAT(forecast(*baseline, {{kNan, kNan, kNan}}, 3)[0], ElementsAre(0, 0, 0)) << baseline->name();
  }
}

TEST(Baselines, forecast_a_constant_series_exactly) {
  for (const auto& baseline : make_baselines(BacktestConfig{}))
    EXPECT_THAT(forecast(*baseline, {std::vector<float>(30, 4.0F)}, 3)[0], ElementsAre(4, 4, 4))
        << baseline->name();
}

TEST(Baselines, rows_do_not_influence_each_other) {
  for (const auto& baseline : make_baselines(BacktestConfig{})) {
    const std::vector<float> first{3, 1, 4, 1, 5, 9, 2, 6}, second{kNan, 7, 1, 8, 2, kNan, 1, 8};
    const auto together = forecast(*baseline, {first, second}, 5);
    EXPECT_EQ(together[0], forecast(*baseline, {first}, 5)[0]) << baseline->name();
    EXPECT_EQ(together[1], forecast(*baseline, {second}, 5)[0]) << baseline->name();
  }
}

}  // namespace
}  // namespace shelfcast::eval
