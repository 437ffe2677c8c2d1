// Sliding histories, and forecasters that are fitted anew every few origins.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "eval/backtest.h"
#include "eval/baselines/catalogue.h"
#include "eval/baselines/statistical.h"
#include "parallel/launch.h"
#include "tests/data/small_corpus.h"
#include "tests/eval/market.h"

namespace shelfcast::eval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::int64_t kHistory = 63, kHorizon = 14, kLastOrigin = 200 - kHorizon;

BacktestConfig sliding_config() {
  BacktestConfig config;
  config.origins = 2;
  config.stride = kHorizon;
  config.horizon = kHorizon;
  config.batch = 5;
  config.baselines = baseline_names();  // all there are
  config.threads = 1;
  config.history = kHistory;
  config.refit_every = 1;
  config.learned_rows = 2400;
  config.learned_rounds = 10;
  config.by = {};
  config.bootstrap = 0;
  config.fans = 100;  // every series' forecasts from the last origin
  return config;
}

class Refit : public ::testing::Test {
 protected:
  BacktestResult judge(const BacktestConfig& config, const std::filesystem::path& corpus,
                       parallel::Communicator& communicator, std::vector<Forecaster*> models = {}) const {
    return run_backtest(config, corpus, Market::features(corpus), std::move(models), 150, communicator);
  }
  BacktestResult judge(const BacktestConfig& config, const std::filesystem::path& corpus,
                       std::vector<Forecaster*> models = {}) const {
    const auto alone = parallel::make_single();
    return judge(config, corpus, *alone, std::move(models));
  }
  // Of all forecasters and series from the last origin.
  std::map<std::string, std::vector<float>> forecasts(const BacktestConfig& config,
                                                      const std::filesystem::path& corpus) const {
    std::map<std::string, std::vector<float>> all;
    const BacktestResult result = judge(config, corpus);
    for (const Fan& fan : result.fans)
      for (const Fan::Forecast& forecast : fan.forecasts)
        all[forecast.name + " of " + fan.series] = forecast.mean_h;
    return all;
  }
  Market market_;
  data::testing::TemporaryFolder folder_;
  std::filesystem::path clean_ = market_.write(folder_.path());
};

TEST_F(Refit, nothing_before_a_sliding_history_and_nothing_of_the_future_changes_a_forecast) {
  const auto earlier = [](std::int64_t t) { return t < kLastOrigin - kHistory; };
  const auto poisoned = market_.write(
      folder_.path() / "poisoned", [&](std::int64_t t) { return earlier(t) || t >= kLastOrigin; }, earlier);
  const auto before = forecasts(sliding_config(), clean_), after = forecasts(sliding_config(), poisoned);
  ASSERT_EQ(before.size(), baseline_names().size() * 11);  // all series but the one never observed
  for (const auto& [name, values] : before) EXPECT_EQ(values, after.at(name)) << name;

  // Without refits the learned ones still know what came before the first origin's history.
  BacktestConfig config = sliding_config();
  config.refit_every = 0;
  EXPECT_NE(forecasts(config, clean_), forecasts(config, poisoned));
}

TEST_F(Refit, a_history_that_expands_sees_all_of_the_past) {
  const auto poisoned = market_.write(folder_.path() / "poisoned", [](std::int64_t t) { return t < 20; });
  BacktestConfig config = sliding_config();
  config.history = 0;
  const auto before = forecasts(config, clean_), after = forecasts(config, poisoned);
  EXPECT_EQ(before.at("Naive of series-0"), after.at("Naive of series-0"));
  for (const char* name : {"Drift", "SES", "Ridge regression", "Gradient boosting"})
    EXPECT_NE(before.at(std::string(name) + " of series-0"), after.at(std::string(name) + " of series-0"));
}

TEST_F(Refit, a_sliding_history_longer_than_the_past_is_an_expanding_one) {
  BacktestConfig sliding = sliding_config(), expanding = sliding_config();
  sliding.history = 1000;
  expanding.history = 0;
  EXPECT_EQ(forecasts(sliding, clean_), forecasts(expanding, clean_));
}

// Notes when it is refitted and what it forecasts after that.
class Refitted final : public Forecaster {
 public:
  const std::string& name() const override { return name_; }
  void refit(std::int64_t origin) override {
    refits.push_back(origin);
    latest = origin;
  }
  void forecast(const data::Batch& batch, ForecastValues& values) override {
    for (const data::Window& window : batch.window_b)
      if (window.series >= 0) seen[latest].push_back(window.origin);
    values = {{}, {}, std::vector<float>(batch.target_bh.size(), 1.0F), {}};
    values.median_bh = values.mean_bh;
  }
  std::vector<std::int64_t> refits;
  std::int64_t latest = -1;
  std::map<std::int64_t, std::vector<std::int64_t>> seen;  // origins forecast after the refit at an origin

 private:
  std::string name_ = "refitted";
};

TEST_F(Refit, models_are_called_back_before_every_so_many_origins) {
  BacktestConfig config = sliding_config();
  config.origins = 3;
  config.baselines = {};
  config.fans = 0;
  for (const auto& [every, expected] : std::vector<std::pair<std::int64_t, std::vector<std::int64_t>>>{
           {0, {158}}, {1, {158, 172, 186}}, {2, {158, 186}}, {5, {158}}}) {
    config.refit_every = every;
    Refitted model;
    const BacktestResult result = judge(config, clean_, {&model});
    EXPECT_EQ(model.refits, expected) << every;
    std::size_t windows = 0;
    for (const auto& [refit, origins] : model.seen) {
      windows += origins.size();
      for (const std::int64_t origin : origins) {
        EXPECT_GE(origin, refit);
        EXPECT_LT(origin, every > 0 ? refit + every * kHorizon : 1000) << every;
      }
    }
    EXPECT_EQ(windows, 12U * 3U);
    EXPECT_EQ(result.judgement.windows, 12 * 3);
  }
}

TEST_F(Refit, says_the_same_on_any_number_of_ranks) {
  BacktestConfig config = sliding_config();
  config.baselines = {"seasonal_naive", "ses", "ridge", "boosting"};
  config.fans = 0;
  const std::string one = result_json(judge(config, clean_)).dump();
  EXPECT_THAT(one, HasSubstr("\"history\":63,\"refit_every\":1"));
  for (const int ranks : {2, 3})
    parallel::run_ranks_as_threads(ranks, [&](parallel::Communicator& communicator) {
      EXPECT_EQ(result_json(judge(config, clean_, communicator)).dump(), one) << ranks;
    });
}

TEST_F(Refit, judging_in_stages_changes_no_number_of_those_who_do_not_learn) {
  BacktestConfig config = sliding_config();
  config.baselines = {"seasonal_naive", "ses"};
  config.hierarchy = {"store"};
  BacktestConfig once = config;
  once.refit_every = 0;
  const BacktestResult staged = judge(config, clean_), whole = judge(once, clean_);
  for (std::size_t i = 0; i < 2; ++i)
    for (const char* metric : {"mae", "mse", "mase", "wrmsse", "order_cost"})
      EXPECT_NEAR(*staged.forecasters[i].overall.score(metric).value,
                  *whole.forecasters[i].overall.score(metric).value, 1e-9)
          << metric;
  EXPECT_EQ(staged.judgement.targets, whole.judgement.targets);
}

TEST_F(Refit, too_short_a_history_is_said) {
  BacktestConfig config = sliding_config();
  config.history = 1;
  config.baselines = {"ridge"};
  data::testing::expect_error(ErrorKind::input, {"rows to learn from", "backtest.history"},
                              [&] { judge(config, clean_); });
  config.history = -1;
  data::testing::expect_error(ErrorKind::input, {"backtest.history is -1"}, [&] { judge(config, clean_); });
}

}  // namespace
}  // namespace shelfcast::eval
