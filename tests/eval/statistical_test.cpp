#include "eval/baselines/statistical.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/eval/small_panel.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast::eval {
namespace {

using ::testing::DoubleNear;
using ::testing::Each;
using ::testing::ElementsAre;

// What `method` forecasts after `demand`.
std::vector<double> forecast(const std::string& name, const std::vector<float>& demand, std::size_t horizon,
                             MethodOptions options = {}, SeasonalGaps gaps = SeasonalGaps::last_season) {
  const NamedMethod& method = *std::ranges::find(statistical_methods(), name, &NamedMethod::name);
  const FilledHistory history(demand, options.season, gaps);
  std::vector<double> steps(horizon, -1.0);
  forecast_history(method, history.before(std::ssize(demand)), options, steps);
  return steps;
}

MadeBy maker(const std::string& name, const std::vector<float>& demand, MethodOptions options = {}) {
  const NamedMethod& method = *std::ranges::find(statistical_methods(), name, &NamedMethod::name);
  const FilledHistory history(demand, options.season, SeasonalGaps::last_season);
  std::vector<double> steps(3);
  return forecast_history(method, history.before(std::ssize(demand)), options, steps);
}

TEST(Methods, say_where_a_simpler_one_stood_in) {
  std::vector<float> year(60), brief{3, 5, 4, 8, 6};
  for (std::size_t t = 0; t < year.size(); ++t) year[t] = static_cast<float>(5 + t % 7 + t * t % 3);
  for (const std::string& name : method_names()) EXPECT_EQ(maker(name, year), MadeBy::method) << name;
  for (const char* name : {"seasonal_naive", "holt_winters", "holt_winters_multiplicative"})
    EXPECT_EQ(maker(name, brief), MadeBy::simpler) << name;
  for (const char* name : {"naive", "drift", "moving_average", "ses", "theta", "croston"})
    EXPECT_EQ(maker(name, brief), MadeBy::method) << name;
  for (const char* name : {"holt", "ets", "theta"}) EXPECT_EQ(maker(name, {3, 5}), MadeBy::simpler) << name;
  EXPECT_EQ(maker("drift", {3}), MadeBy::simpler);
  EXPECT_EQ(maker("moving_average", {4, kNan, kNan}, {7, 2}), MadeBy::simpler);
  // The additive form stands in for the multiplicative one.
  year[9] = 0;
  EXPECT_EQ(maker("holt_winters_multiplicative", year), MadeBy::simpler);
  EXPECT_EQ(maker("holt_winters", year), MadeBy::method);
  // What every method repeats, and what none has seen.
  for (const char* name : {"holt_winters", "ets", "theta"}) {
    EXPECT_EQ(maker(name, std::vector<float>(30, 4.0F)), MadeBy::method) << name;
    EXPECT_EQ(maker(name, {kNan, kNan}), MadeBy::method) << name;
  }
}

TEST(FilledHistory, starts_at_the_first_observation_and_fills_gaps_from_the_past_alone) {
  const std::vector<float> demand{kNan, kNan, 1, 2, 3, kNan, 5, kNan, kNan};
  const FilledHistory seasonal(demand, 3, SeasonalGaps::last_season);
  EXPECT_THAT(seasonal.before(9).filled, ElementsAre(1, 2, 3, 1, 5, 3, 1));
  EXPECT_THAT(seasonal.before(6).filled, ElementsAre(1, 2, 3, 1));
  EXPECT_EQ(seasonal.before(6).observed.size(), 4U);
  EXPECT_TRUE(std::isnan(seasonal.before(6).observed[3]));
  EXPECT_THAT(FilledHistory(demand, 3, SeasonalGaps::last_value).before(9).filled,
              ElementsAre(1, 2, 3, 3, 5, 5, 5));
  EXPECT_TRUE(seasonal.before(2).filled.empty());
  EXPECT_TRUE(seasonal.before(0).filled.empty());
}

TEST(FilledHistory, takes_the_value_before_where_there_is_no_season_before) {
  const std::vector<float> demand{4, kNan, kNan, 7, kNan};
  EXPECT_THAT(FilledHistory(demand, 7, SeasonalGaps::last_season).before(5).filled,
              ElementsAre(4, 4, 4, 7, 7));
}

TEST(Naive, repeats_the_last_observed_value) {
  EXPECT_THAT(forecast("naive", {1, 2, 3}, 2), ElementsAre(3, 3));
  EXPECT_THAT(forecast("naive", {8, 1, 1, 1, 1, 1, 2, kNan}, 2),
              ElementsAre(2, 2));  // not the 8 a season before
  EXPECT_THAT(forecast("naive", {kNan, 7, kNan}, 2), ElementsAre(7, 7));
}

TEST(SeasonalNaive, repeats_the_last_season_over_a_longer_horizon) {
  EXPECT_THAT(forecast("seasonal_naive", {9, 9, 1, 2, 3}, 7, {3, 28}), ElementsAre(1, 2, 3, 1, 2, 3, 1));
}

TEST(SeasonalNaive, looks_back_whole_seasons_over_a_missing_step) {
  EXPECT_THAT(forecast("seasonal_naive", {1, 2, 3, 4, kNan, 6, 7, kNan, 9}, 3, {3, 28}),
              ElementsAre(7, 2, 9));
}

TEST(SeasonalNaive, or_takes_the_last_value_before_a_missing_step) {
  EXPECT_THAT(
      forecast("seasonal_naive", {1, 2, 3, 4, kNan, 6, 7, kNan, 9}, 3, {3, 28}, SeasonalGaps::last_value),
      ElementsAre(7, 7, 9));
}

TEST(SeasonalNaive, falls_back_on_the_last_value_of_a_history_shorter_than_a_season) {
  for (const SeasonalGaps gaps : {SeasonalGaps::last_season, SeasonalGaps::last_value}) {
    EXPECT_THAT(forecast("seasonal_naive", {kNan, kNan, 5}, 3, {3, 28}, gaps), ElementsAre(5, 5, 5));
    EXPECT_THAT(forecast("seasonal_naive", {4, 5}, 6, {7, 28}, gaps), ElementsAre(5, 5, 5, 5, 5, 4));
  }
}

TEST(MovingAverage, averages_the_observed_values_of_its_window) {
  EXPECT_THAT(forecast("moving_average", {100, 1, 2, 6}, 2, {7, 3}), ElementsAre(3, 3));
  EXPECT_THAT(forecast("moving_average", {100, 1, kNan, 6}, 2, {7, 3}), ElementsAre(3.5, 3.5));
  EXPECT_THAT(forecast("moving_average", {8, kNan, kNan, kNan}, 1, {7, 3}),
              ElementsAre(8));  // none in the window
  EXPECT_THAT(forecast("moving_average", {2, 4}, 1, {7, 50}),
              ElementsAre(3));  // window longer than the history
}

TEST(Croston, divides_smoothed_sizes_by_smoothed_intervals) {
  // Sizes 4, 8: 4 + 0.1 * 4 = 4.4. Intervals 2, 3 (the first from the start): 2 + 0.1 * 1 = 2.1.
  EXPECT_THAT(forecast("croston", {0, 4, 0, 0, 8, 0}, 1), ElementsAre(DoubleNear(4.4 / 2.1, 1e-12)));
  EXPECT_THAT(forecast("sba", {0, 4, 0, 0, 8, 0}, 1), ElementsAre(DoubleNear(0.95 * 4.4 / 2.1, 1e-12)));
}

TEST(Tsb, falls_while_nothing_sells) {
  const double before = forecast("tsb", {3, 3, 3, 3, 3}, 1)[0],
               after = forecast("tsb", {3, 3, 3, 3, 3, 0, 0}, 1)[0];
  EXPECT_DOUBLE_EQ(before, 3.0);
  EXPECT_NEAR(after, 3.0 * 0.9 * 0.9, 1e-12);
}

TEST(Adida, of_regular_demand_is_its_rate) {
  std::vector<float> demand;
  for (int i = 0; i < 40; ++i) demand.push_back(i % 4 == 3 ? 8.0F : 0.0F);
  EXPECT_THAT(forecast("adida", demand, 2), Each(DoubleNear(2.0, 1e-12)));
}

class Methods : public ::testing::TestWithParam<std::string> {};

TEST_P(Methods, forecast_0_where_nothing_was_ever_observed) {
  EXPECT_THAT(forecast(GetParam(), {kNan, kNan, kNan}, 3), ElementsAre(0, 0, 0));
  EXPECT_THAT(forecast(GetParam(), {}, 3), ElementsAre(0, 0, 0));
}

TEST_P(Methods, repeat_a_constant_series_of_any_length) {
  // SBA's correction for bias is 5 % whatever the demand.
  const double expected = GetParam() == "sba" ? 0.95 * 4.0 : 4.0;
  for (const std::size_t length : {1U, 2U, 3U, 7U, 8U, 30U, 200U})
    EXPECT_THAT(forecast(GetParam(), std::vector<float>(length, 4.0F), 3), Each(DoubleNear(expected, 1e-9)))
        << length;
}

TEST_P(Methods, forecast_0_after_nothing_but_zeros) {
  for (const std::size_t length : {1U, 2U, 8U, 100U})
    EXPECT_THAT(forecast(GetParam(), std::vector<float>(length, 0.0F), 3), Each(0.0)) << length;
}

TEST_P(Methods, are_finite_for_every_length_of_awkward_histories) {
  std::vector<float> demand;
  for (int t = 0; t < 60; ++t) {
    demand.push_back(t % 11 == 5  ? kNan
                     : t % 3 == 0 ? 0.0F
                                  : static_cast<float>((t * 37) % 13) * (t == 40 ? 1e4F : 1.0F));
    for (const double step : forecast(GetParam(), demand, 20)) EXPECT_TRUE(std::isfinite(step)) << t;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Methods, ::testing::ValuesIn(method_names()),
                         [](const auto& method) { return method.param; });

class Histories : public ::testing::Test {
 protected:
  Histories() { write_panel(panel_, folder_.path() / "small.corpus"); }

  std::vector<std::vector<float>> forecasts(const std::vector<data::Window>& windows, std::int64_t threads,
                                            const char* corpus = "small.corpus") const {
    BacktestConfig config;
    config.season = 7;
    config.baselines = method_names();
    data::Batch batch;
    batch.windows = std::ssize(windows);
    batch.window_b = windows;
    batch.target_bh.resize(windows.size() * 9);
    std::vector<std::vector<float>> all;
    for (const auto& baseline : make_baselines(config, folder_.path() / corpus, "", threads)) {
      ForecastValues values;
      baseline->forecast(batch, values);
      EXPECT_EQ(values.mean_bh, values.median_bh);
      EXPECT_TRUE(values.levels.empty());
      all.push_back(values.mean_bh);
    }
    return all;
  }

  SmallPanel panel_ = make_small_panel();
  testing::TemporaryFolder folder_;
};

TEST_F(Histories, are_those_of_each_window_whatever_the_batch_and_the_threads) {
  const std::vector<data::Window> windows{{8, 50}, {8, 60}, {2, 50}, {3, 60}, {10, 33}, {-1, 0}};
  const auto together = forecasts(windows, 1);
  EXPECT_EQ(together, forecasts(windows, 3));
  const std::vector<std::string> names = method_names();
  for (std::size_t row = 0; row < windows.size(); ++row) {
    const auto alone = forecasts({windows[row]}, 1);
    for (std::size_t m = 0; m < names.size(); ++m) {
      const std::vector<float> part(together[m].begin() + static_cast<std::ptrdiff_t>(row * 9),
                                    together[m].begin() + static_cast<std::ptrdiff_t>(row * 9 + 9));
      EXPECT_EQ(part, alone[m]) << names[m] << ", row " << row;
      if (windows[row].series < 0) continue;
      std::vector<float> demand;
      for (std::int64_t t = 0; t < windows[row].origin; ++t)
        demand.push_back(panel_.at(windows[row].series, t));
      std::vector<double> expected = forecast(names[m], demand, 9);
      for (double& step : expected) step = std::max(step, 0.0);
      EXPECT_EQ(part, std::vector<float>(expected.begin(), expected.end())) << names[m] << ", row " << row;
    }
  }
}

TEST_F(Histories, are_not_drawn_on_below_0_unless_they_were_there) {
  for (std::int64_t t = 0; t < panel_.steps; ++t) {
    panel_.demand[static_cast<std::size_t>(t)] = 64.0F - static_cast<float>(t);  // series 0: 4 at step 60
    panel_.demand[static_cast<std::size_t>(panel_.steps + t)] =
        30.0F - static_cast<float>(t);  // series 1: -30 there
  }
  write_panel(panel_, folder_.path() / "falling.corpus");
  const auto drawn = forecasts({{0, 60}, {1, 60}}, 1, "falling.corpus")[2];  // drift
  for (std::size_t h = 0; h < 9; ++h) {
    EXPECT_FLOAT_EQ(drawn[h], std::max(4.0F - static_cast<float>(h), 0.0F));
    EXPECT_FLOAT_EQ(drawn[9 + h], -30.0F - static_cast<float>(h));
  }
}

TEST_F(Histories, say_nothing_of_what_comes_at_or_after_the_origin) {
  SmallPanel poisoned = panel_;
  for (std::int64_t s = 0; s < panel_.series; ++s)
    for (std::int64_t t = 50; t < panel_.demand_end; ++t)
      poisoned.demand[static_cast<std::size_t>(s * panel_.steps + t)] = 1e6F;
  write_panel(poisoned, folder_.path() / "poisoned.corpus");
  std::vector<data::Window> windows;
  for (std::int64_t s = 0; s < panel_.series; ++s) windows.push_back({s, 50});
  EXPECT_EQ(forecasts(windows, 2), forecasts(windows, 2, "poisoned.corpus"));
}

}  // namespace
}  // namespace shelfcast::eval
