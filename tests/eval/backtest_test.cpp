#include "eval/backtest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"
#include "eval/baselines/methods.h"
#include "eval/demand_level.h"
#include "eval/profile.h"
#include "parallel/launch.h"
#include "tests/eval/small_panel.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast::eval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

BacktestConfig small_backtest() {
  BacktestConfig config;
  config.origins = 3;
  config.stride = 5;
  config.horizon = 6;
  config.batch = 4;  // origins of one series are cut by batch borders
  config.season = 7;
  config.window = 14;
  config.bootstrap = 50;
  config.orders.review = 0;
  return config;
}

class Backtest : public ::testing::Test {
 protected:
  Backtest() { write_panel(panel_, folder_.path() / "small.corpus"); }

  std::filesystem::path corpus() const { return folder_.path() / "small.corpus"; }
  data::FeatureSpec spec(std::int64_t context, std::int64_t horizon) const {
    return data::make_features(small_config(context, horizon), data::Corpus(corpus()), 30);
  }
  BacktestResult run(const BacktestConfig& config, Forecaster* model = nullptr, std::int64_t context = 28) {
    std::vector<Forecaster*> models;
    if (model != nullptr) models.push_back(model);
    const auto single = parallel::make_single();
    return run_backtest(config, corpus(), spec(context, 8), models, 40, *single);
  }
  static const ForecasterResult& named(const BacktestResult& result, const std::string& name) {
    for (const ForecasterResult& forecaster : result.forecasters)
      if (forecaster.name == name) return forecaster;
    throw std::runtime_error("no " + name);
  }

  SmallPanel panel_ = make_small_panel();
  TemporaryFolder folder_;
};

// All judged steps of the panel, one after the other, in the plainest way.
template <typename Visit>
void for_each_step(const SmallPanel& panel, const BacktestConfig& config, Visit visit) {
  for (std::int64_t i = 0; i < config.origins; ++i) {
    const std::int64_t origin = panel.demand_end - config.horizon - (config.origins - 1 - i) * config.stride;
    for (std::int64_t s = 0; s < panel.series; ++s)
      for (std::int64_t h = 0; h < config.horizon; ++h)
        if (!std::isnan(panel.at(s, origin + h))) visit(s, origin, h, panel.at(s, origin + h));
  }
}

double naive(const SmallPanel& panel, std::int64_t s, std::int64_t origin) {
  for (std::int64_t t = origin - 1; t >= 0; --t)
    if (!std::isnan(panel.at(s, t))) return panel.at(s, t);
  return 0.0;
}

double scale(const SmallPanel& panel, std::int64_t s, std::int64_t origin, std::int64_t season) {
  double sum = 0.0, n = 0.0;
  for (std::int64_t t = season; t < origin; ++t) {
    const double change = std::abs(static_cast<double>(panel.at(s, t)) - panel.at(s, t - season));
    if (!std::isnan(change)) sum += change, n += 1;
  }
  return n > 0 ? sum / n : 0.0;
}

TEST_F(Backtest, of_another_target_judges_that_column) {
  SmallPanel of_traffic = panel_;
  of_traffic.demand = panel_.traffic;
  BacktestConfig config = small_backtest();
  config.baselines = {"naive"};
  double absolute = 0.0, n = 0.0;
  for_each_step(of_traffic, config, [&](std::int64_t s, std::int64_t origin, std::int64_t /*h*/, double y) {
    absolute += std::abs(naive(of_traffic, s, origin) - y);
    n += 1;
  });
  const data::CorpusSource source(corpus(), "traffic");
  data::DataConfig data = small_config(28, 8);
  data.past = {"demand"};
  const auto single = parallel::make_single();
  const BacktestResult result =
      run_backtest(config, source, data::make_features(data, data::Corpus(source), 30), {}, 40, *single);
  EXPECT_EQ(result.judgement.targets, n);
  EXPECT_NEAR(*result.forecasters.front().overall.score("mae").value, absolute / n, 1e-6);
  EXPECT_EQ(result.corpus.target, "traffic");
}

TEST_F(Backtest, agrees_with_plain_loops_overall_and_in_every_group) {
  const BacktestConfig config = small_backtest();
  struct Sums {
    double n = 0, absolute = 0, squared = 0, error = 0, target = 0, scaled = 0, scaled_n = 0;
  };
  std::map<std::pair<std::string, std::string>, Sums> expected;
  for_each_step(panel_, config, [&](std::int64_t s, std::int64_t origin, std::int64_t h, double y) {
    const double error = naive(panel_, s, origin) - y, m = scale(panel_, s, origin, 7);
    const auto store = static_cast<std::size_t>(panel_.store[static_cast<std::size_t>(s)]);
    const auto code = panel_.category[static_cast<std::size_t>(s)];
    const std::string category = code < 0 ? "(missing)" : panel_.categories[static_cast<std::size_t>(code)];
    for (const auto& key : {std::pair<std::string, std::string>{"overall", "all"},
                            {"store", panel_.stores[store]},
                            {"category", category},
                            {"horizon", std::to_string(h + 1)}}) {
      Sums& sums = expected[key];
      sums.n += 1, sums.absolute += std::abs(error), sums.squared += error * error, sums.error += error,
          sums.target += y;
      if (m > 0) sums.scaled += std::abs(error) / m, sums.scaled_n += 1;
    }
  });
  expected[{"category", "never sold"}];  // a level without series

  const BacktestResult result = run(config);
  const ForecasterResult& judged = named(result, "Naive");
  std::vector<GroupScores> groups = judged.groups;
  groups.push_back(judged.overall);
  EXPECT_EQ(groups.size(), expected.size());
  for (const GroupScores& group : groups) {
    SCOPED_TRACE(group.group + " " + group.level);
    ASSERT_TRUE(expected.contains({group.group, group.level}));
    const Sums& sums = expected[{group.group, group.level}];
    EXPECT_EQ(group.score("mae").n, static_cast<std::int64_t>(sums.n));
    EXPECT_EQ(group.score("mase").n, static_cast<std::int64_t>(sums.scaled_n));
    if (sums.n == 0) {
      EXPECT_FALSE(group.score("mae").value);
      continue;
    }
    EXPECT_NEAR(*group.score("mae").value, sums.absolute / sums.n, 1e-12);
    EXPECT_NEAR(*group.score("mse").value, sums.squared / sums.n, 1e-10);
    EXPECT_NEAR(*group.score("rmse").value, std::sqrt(sums.squared / sums.n), 1e-12);
    EXPECT_NEAR(*group.score("bias").value, sums.error / sums.n, 1e-12);
    EXPECT_NEAR(*group.score("wape").value, sums.absolute / sums.target, 1e-12);
    EXPECT_NEAR(*group.score("mase").value, sums.scaled / sums.scaled_n, 1e-12);
  }
}

TEST_F(Backtest, counts_every_observed_target_once_whatever_the_batch) {
  BacktestConfig config = small_backtest();
  double targets = 0;
  for_each_step(panel_, config, [&](auto...) { targets += 1; });
  for (const std::int64_t batch : {1, 4, 7, 33, 1000}) {
    config.batch = batch;
    const BacktestResult result = run(config);
    EXPECT_EQ(result.judgement.targets, targets) << batch;
    EXPECT_EQ(result.judgement.targets + result.judgement.missing_targets, 11 * 3 * 6) << batch;
    EXPECT_EQ(result.judgement.windows, 33) << batch;
    EXPECT_EQ(result.judgement.history.cells, 11 * 64) << batch;
    for (const ForecasterResult& forecaster : result.forecasters) {
      EXPECT_EQ(forecaster.overall.score("mae").n, targets) << batch;
      EXPECT_NEAR(*forecaster.overall.score("mae").value,
                  *run(small_backtest())
                       .forecasters[&forecaster - result.forecasters.data()]
                       .overall.score("mae")
                       .value,
                  1e-12);
    }
  }
}

TEST_F(Backtest, is_the_same_to_the_last_digit_for_1_2_3_and_5_ranks) {
  BacktestConfig config = small_backtest();
  config.baselines = method_names();
  config.by = {"category", "store", "horizon", "demand_class", "promotion", "price"};
  config.promotion = "traffic";
  config.price = "price";
  config.hierarchy = {"all", "shop"};
  config.orders = {2, 1, 0.9};
  config.classes = {0.25, 0.75};
  const data::FeatureSpec features = spec(28, 8);
  std::vector<std::string> results;
  for (const int ranks : {1, 2, 3, 5}) {
    std::vector<std::string> of_rank(static_cast<std::size_t>(ranks));
    parallel::run_ranks_as_threads(ranks, [&](parallel::Communicator& communicator) {
      SeasonalQuantiles model(7, 3);
      const BacktestResult result = run_backtest(config, corpus(), features, {&model}, 40, communicator);
      of_rank[static_cast<std::size_t>(communicator.rank())] =
          result_json(result).dump() + result_csv(result) + series_csv(result);
    });
    for (const std::string& text : of_rank) EXPECT_EQ(text, of_rank.front()) << ranks;  // on every rank
    results.push_back(of_rank.front());
  }
  EXPECT_GT(results.front().size(), 1000U);
  for (const std::string& text : results) EXPECT_EQ(text, results.front());
}

// Quantile of sorted values, as NumPy has it.
double sorted_quantile(const std::vector<double>& sorted, double share) {
  const double position = share * static_cast<double>(sorted.size() - 1), below = std::floor(position);
  const double low = sorted[static_cast<std::size_t>(below)],
               high = sorted[static_cast<std::size_t>(std::ceil(position))];
  return low + (position - below) * (high - low);
}

TEST_F(Backtest, tells_low_normal_and_high_demand_apart_by_what_came_before_the_cut_off) {
  BacktestConfig config = small_backtest();
  config.classes = {0.3, 0.8};
  std::map<std::string, std::map<std::string, double>> expected;  // by category: confusion
  double classified = 0;
  for_each_step(panel_, config, [&](std::int64_t s, std::int64_t origin, std::int64_t, double y) {
    std::vector<double> past;
    for (std::int64_t t = 0; t < 40; ++t)
      if (!std::isnan(panel_.at(s, t))) past.push_back(panel_.at(s, t));
    if (past.empty()) return;  // series 8 starts at step 40
    std::ranges::sort(past);
    const double low = sorted_quantile(past, 0.3), high = sorted_quantile(past, 0.8);
    const auto level = [&](double demand) {
      return std::string(demand > high ? "high" : demand > low ? "normal" : "low");
    };
    const auto code = panel_.category[static_cast<std::size_t>(s)];
    const std::string category = code < 0 ? "(missing)" : panel_.categories[static_cast<std::size_t>(code)];
    const std::string cell = "confusion@" + level(y) + ">" + level(naive(panel_, s, origin));
    expected[category][cell] += 1, expected["all"][cell] += 1, classified += 1;
  });
  ASSERT_GT(expected["all"].size(), 6U);
  const BacktestResult result = run(config);
  const ForecasterResult& judged = named(result, "Naive");
  EXPECT_EQ(judged.overall.score("accuracy").n, classified);
  EXPECT_LT(classified, result.judgement.targets);
  std::size_t categories = 0;
  const auto compare = [&](const GroupScores& scores, const std::string& category) {
    for (const Score& score : scores.scores) {
      if (!score.metric.starts_with("confusion@")) continue;
      EXPECT_EQ(*score.value, expected[category][score.metric]) << category << " " << score.metric;
    }
  };
  compare(judged.overall, "all");
  for (const GroupScores& group : judged.groups)
    if (group.group == "classes") compare(group, group.level), ++categories;
  EXPECT_EQ(categories, 4U);  // with "never sold" and "(missing)"
  // A model that has seen nothing of the corpus: before the first origin.
  const auto single = parallel::make_single();
  EXPECT_EQ(run_backtest(config, corpus(), spec(28, 8), {}, 0, *single)
                .forecasters.front()
                .overall.score("accuracy")
                .n,
            result.judgement.targets);
  for (const std::vector<double>& bad : {std::vector{0.5}, {0.7, 0.2}, {0.0, 0.5}, {0.2, 1.0}}) {
    config.classes = bad;
    EXPECT_THROW(config.validate(), Error);
  }
}

// Says in its own way which class each step is, beside a median that says low of every step.
class Classifier : public Forecaster {
 public:
  const std::string& name() const override { return name_; }
  bool says_classes() const override { return true; }
  static std::size_t class_of(std::int64_t series, std::int64_t step) {
    return static_cast<std::size_t>(series * 5 + step * 7) % 3;
  }
  void forecast(const data::Batch& batch, ForecastValues& values) override {
    const auto windows = static_cast<std::size_t>(batch.windows), steps = batch.target_bh.size() / windows;
    values = {};
    values.mean_bh.assign(windows * steps, -1.0F);
    values.median_bh = values.mean_bh;
    values.classes_bch.assign(windows * 3 * steps, 0.3F);
    for (std::size_t row = 0; row < windows; ++row)
      for (std::size_t h = 0; h < steps; ++h) {
        const data::Window& w = batch.window_b[row];
        if (w.series < 0) continue;
        const std::size_t c = class_of(w.series, w.origin + static_cast<std::int64_t>(h));
        values.classes_bch[(row * 3 + c) * steps + h] = 0.4F;
      }
  }

 private:
  std::string name_ = "classifier";
};

TEST_F(Backtest, judges_the_likeliest_class_of_who_says_classes_and_the_median_of_all_others) {
  BacktestConfig config = small_backtest();
  config.classes = {0.3, 0.8};
  config.baselines = {"naive"};
  std::map<std::string, std::int64_t> forecast_as;
  for_each_step(panel_, config, [&](std::int64_t s, std::int64_t origin, std::int64_t h, double) {
    bool seen = false;
    for (std::int64_t t = 0; t < 40; ++t) seen = seen || !std::isnan(panel_.at(s, t));
    if (seen) ++forecast_as[demand_levels()[Classifier::class_of(s, origin + h)]];
  });
  ASSERT_EQ(forecast_as.size(), 3U);
  Classifier model;
  const BacktestResult result = run(config, &model);
  for (const auto& [level, n] : forecast_as)
    EXPECT_EQ(named(result, "classifier").overall.score("precision@" + level).n, n) << level;
  config.combine = {{"mean"}, {"naive", "model"}, CombineBy::overall};  // keeps forecasts between uses
  const BacktestResult combined = run(config, &model);
  for (const char* name : {"classifier", "Naive"}) {
    EXPECT_EQ(named(combined, name).overall.score("f1_macro").value,
              named(result, name).overall.score("f1_macro").value)
        << name;
    EXPECT_EQ(named(combined, name).says_classes, name != std::string("Naive"));
  }
  config.combine = {};
  EXPECT_EQ(named(result, "Naive").overall.score("f1_macro").value,
            named(run(config), "Naive").overall.score("f1_macro").value);
  EXPECT_THAT(result_json(result).dump(), HasSubstr(R"("classes_from":"head")"));
}

// What it says of stock on hand is made up.
class Storekeeper : public Forecaster {
 public:
  const std::string& name() const override { return name_; }
  bool says_inventory() const override { return true; }
  static float held(std::int64_t series, std::int64_t step) {
    return static_cast<float>((series * 3 + step * 5) % 11);
  }
  void forecast(const data::Batch& batch, ForecastValues& values) override {
    const auto windows = static_cast<std::size_t>(batch.windows), steps = batch.target_bh.size() / windows;
    values = {};
    values.mean_bh.assign(windows * steps, 0.0F);
    values.median_bh = values.mean_bh;
    values.inventory_bh.assign(windows * steps, 0.0F);
    for (std::size_t row = 0; row < windows; ++row)
      for (std::size_t h = 0; h < steps; ++h)
        values.inventory_bh[row * steps + h] =
            held(batch.window_b[row].series, batch.window_b[row].origin + static_cast<std::int64_t>(h));
  }

 private:
  std::string name_ = "storekeeper";
};

TEST_F(Backtest, judges_stock_on_hand_as_plain_loops_do) {
  BacktestConfig config = small_backtest();
  config.baselines = {"naive"};
  config.combine = {{"mean"}, {"naive", "model"}, CombineBy::overall};  // keeps forecasts between uses
  struct Sums {
    double n = 0, absolute = 0, squared = 0;
  };
  std::map<std::string, Sums> expected;
  for (std::int64_t i = 0; i < config.origins; ++i)
    for (std::int64_t s = 0; s < panel_.series; ++s)
      for (std::int64_t h = 0; h < config.horizon; ++h) {
        const std::int64_t step =
            panel_.demand_end - config.horizon - (config.origins - 1 - i) * config.stride + h;
        const auto code = panel_.category[static_cast<std::size_t>(s)];
        // Whether demand was observed or not.
        const double error = static_cast<double>(Storekeeper::held(s, step)) -
                             panel_.traffic[static_cast<std::size_t>(s * panel_.steps + step)];
        for (const std::string& level :
             {std::string("all"), code < 0 ? "(missing)" : panel_.categories[static_cast<std::size_t>(code)]})
          expected[level] = {expected[level].n + 1, expected[level].absolute + std::abs(error),
                             expected[level].squared + error * error};
      }
  data::DataConfig data = small_config(28, 8);
  data.inventory = "traffic";
  const data::FeatureSpec with_stock = data::make_features(data, data::Corpus(corpus()), 30);
  const auto judged_by = [&](Storekeeper& model, parallel::Communicator& communicator) {
    return run_backtest(config, corpus(), with_stock, {&model}, 40, communicator);
  };
  Storekeeper model;
  const BacktestResult result = judged_by(model, *parallel::make_single());
  std::size_t judged = 0;
  for (const ForecasterResult& forecaster : result.forecasters)
    for (const GroupScores& group : forecaster.groups) {
      if (group.group != "inventory") continue;
      EXPECT_EQ(forecaster.name, "storekeeper");
      const Sums& of = expected[group.level];
      EXPECT_EQ(group.score("mae").n, static_cast<std::int64_t>(of.n)) << group.level;
      if (of.n == 0) continue;
      ++judged;
      EXPECT_NEAR(*group.score("mae").value, of.absolute / of.n, 1e-9) << group.level;
      EXPECT_NEAR(*group.score("mse").value, of.squared / of.n, 1e-9) << group.level;
      EXPECT_FALSE(group.score("mase").value.has_value());
    }
  EXPECT_EQ(judged, 4U);  // two categories, one missing, all
  parallel::run_ranks_as_threads(3, [&](parallel::Communicator& communicator) {
    Storekeeper own;
    EXPECT_EQ(result_json(judged_by(own, communicator)).dump(), result_json(result).dump());
  });
}

// Its quantiles of sums are made up; those of steps are not those.
class Summer : public Forecaster {
 public:
  const std::string& name() const override { return name_; }
  bool says_sums() const override { return true; }
  static double quantile(double level, std::int64_t series, std::size_t step) {
    return (1.0 + static_cast<double>(series)) * static_cast<double>(step + 1) * (0.5 + level);
  }
  void forecast(const data::Batch& batch, ForecastValues& values) override {
    const auto windows = static_cast<std::size_t>(batch.windows), steps = batch.target_bh.size() / windows;
    values = {};
    values.levels = {0.2, 0.8};
    values.mean_bh.assign(windows * steps, 1.5F);
    values.median_bh.assign(windows * steps, 1.0F);
    values.quantiles_bqh.assign(2 * windows * steps, 0.0F);
    for (std::size_t row = 0; row < windows; ++row)
      for (const double level : values.levels)
        for (std::size_t h = 0; h < steps; ++h)
          values.cumulated_bqh.push_back(static_cast<float>(quantile(level, batch.window_b[row].series, h)));
  }

 private:
  std::string name_ = "summer";
};

TEST_F(Backtest, judges_sums_of_the_first_steps_as_plain_loops_do) {
  BacktestConfig config = small_backtest();
  config.baselines = {"naive"};
  struct Sums {
    double n = 0, high = 0, below = 0, squared = 0, absolute = 0, naive = 0;
  };
  std::vector<Sums> expected(6);
  for (std::int64_t i = 0; i < config.origins; ++i)
    for (std::int64_t s = 0; s < panel_.series; ++s) {
      const std::int64_t origin =
          panel_.demand_end - config.horizon - (config.origins - 1 - i) * config.stride;
      double sum = 0;
      for (std::size_t h = 0; h < 6; ++h) {
        sum += panel_.at(s, origin + static_cast<std::int64_t>(h));
        if (std::isnan(sum)) break;
        const double steps = static_cast<double>(h + 1);
        const double low = Summer::quantile(0.2, s, h), high = Summer::quantile(0.8, s, h);
        Sums& of = expected[h];
        of.n += 1;
        of.high += sum > high ? 0.8 * (sum - high) : 0.2 * (high - sum);
        of.below += sum <= high ? 1 : 0;
        of.squared += std::pow(1.5 * steps - sum, 2);
        of.absolute += std::abs(0.5 * (low + high) - sum);
        of.naive += std::abs(naive(panel_, s, origin) * steps - sum);
      }
    }
  Summer model;
  const BacktestResult result = run(config, &model);
  std::size_t judged = 0;
  for (const char* name : {"summer", "Naive"})
    for (const GroupScores& group : named(result, name).groups) {
      if (group.group != "cumulated") continue;
      SCOPED_TRACE(std::string(name) + " " + group.level);
      const Sums& of = expected[judged++ % 6];
      EXPECT_EQ(group.score("mae").n, static_cast<std::int64_t>(of.n));
      EXPECT_FALSE(group.score("mase").value || group.score("rmsse").value || group.score("sql").value);
      if (name == std::string("Naive")) {
        EXPECT_NEAR(*group.score("mae").value, of.naive / of.n, 1e-5);
        continue;
      }
      EXPECT_NEAR(*group.score("pinball@0.8").value, of.high / of.n, 1e-5);
      EXPECT_NEAR(*group.score("below@0.8").value, of.below / of.n, 1e-12);
      EXPECT_NEAR(*group.score("mse").value, of.squared / of.n, 1e-5);
      EXPECT_NEAR(*group.score("mae").value, of.absolute / of.n, 1e-5);
    }
  EXPECT_EQ(judged, 12U);
  parallel::run_ranks_as_threads(3, [&](parallel::Communicator& communicator) {
    Summer own;
    const BacktestResult shared = run_backtest(config, corpus(), spec(28, 8), {&own}, 40, communicator);
    EXPECT_EQ(result_json(shared).dump(), result_json(result).dump());
  });
  const BacktestResult without = run(config);
  for (const GroupScores& group : named(without, "Naive").groups) EXPECT_NE(group.group, "cumulated");
}

TEST_F(Backtest, shows_forecasters_nothing_of_the_future) {
  BacktestConfig config = small_backtest();
  config.fans = 0;  // which series are plotted does depend on their errors
  const std::int64_t last_origin = panel_.demand_end - config.horizon;
  SmallPanel poisoned = panel_;
  for (std::int64_t s = 0; s < panel_.series; ++s) {
    for (std::int64_t t = last_origin; t < panel_.steps; ++t) {
      const auto cell = static_cast<std::size_t>(s * panel_.steps + t);
      poisoned.traffic[cell] = 1e6F;
      if (!std::isnan(poisoned.demand[cell])) poisoned.demand[cell] += 1e6F;
    }
  }
  write_panel(poisoned, folder_.path() / "poisoned.corpus");

  const auto inputs = [&](const std::filesystem::path& path) {
    std::vector<float> seen;
    SeasonalQuantiles model(7, 3);
    model.seen = [&](const data::Batch& batch) {
      for (const auto* values : {&batch.context_bt, &batch.past_bnt, &batch.known_bnu})
        for (const float value : *values) seen.push_back(std::isnan(value) ? -1.0F : value);
    };
    const auto single = parallel::make_single();
    const auto features = data::make_features(small_config(28, 8), data::Corpus(path), 30);
    run_backtest(config, path, features, {&model}, 40, *single);
    return seen;
  };
  const std::vector<float> clean = inputs(corpus());
  EXPECT_GT(clean.size(), 1000U);
  EXPECT_EQ(clean, inputs(folder_.path() / "poisoned.corpus"));
}

TEST_F(Backtest, judges_a_never_observed_series_nowhere_and_a_constant_one_without_mase) {
  const BacktestResult result = run(small_backtest());
  for (const ForecasterResult& forecaster : result.forecasters) {
    EXPECT_EQ(forecaster.series[3].n, 0);
    EXPECT_EQ(forecaster.series[3].absolute_error, 0.0);
    EXPECT_EQ(forecaster.series[5].n, 18);
    EXPECT_EQ(forecaster.series[5].absolute_error, 0.0);
    EXPECT_LT(forecaster.overall.score("mase").n, forecaster.overall.score("mae").n);
  }
}

TEST_F(Backtest, compares_the_model_with_every_baseline) {
  SeasonalQuantiles model(7, 3);
  const BacktestResult result = run(small_backtest(), &model);
  ASSERT_EQ(result.comparisons.size(), 3U * 3U);  // no hierarchy: mae, mse, wql
  ASSERT_EQ(result.models, 1U);
  for (const Comparison& comparison : result.comparisons) {
    EXPECT_EQ(comparison.model, "Seasonal quantiles");
    EXPECT_EQ(comparison.series, 10);  // all but the never observed one
    const double ours = *result.forecasters[0].overall.score(comparison.metric).value;
    // Points stand for their quantiles: at levels that lie evenly around 0.5 their WQL is WAPE.
    const double theirs = *named(result, comparison.baseline)
                               .overall.score(comparison.metric == "wql" ? "wape" : comparison.metric)
                               .value;
    EXPECT_TRUE(comparison.dates);
    EXPECT_NEAR(*comparison.difference, ours / theirs - 1, 1e-12);
    EXPECT_LE(*comparison.low, *comparison.difference);
    EXPECT_GE(*comparison.high, *comparison.difference);
  }
  EXPECT_TRUE(result.forecasters[0].overall.score("coverage@0.8").value);
}

TEST_F(Backtest, keeps_fans_of_judged_series_from_the_last_origin) {
  SeasonalQuantiles model(7, 3);
  BacktestConfig config = small_backtest();
  config.fans = 100;  // more than there are
  const BacktestResult result = run(config, &model);
  EXPECT_EQ(result.fans.size(), 10U);
  for (const Fan& fan : result.fans) {
    EXPECT_NE(fan.series, "series-3");
    EXPECT_EQ(fan.origin, 58);
    const std::int64_t s = std::stoll(fan.series.substr(7));
    ASSERT_EQ(fan.target.size(), 6U);
    for (std::size_t h = 0; h < 6; ++h) {
      const float truth = panel_.at(s, 58 + static_cast<std::int64_t>(h));
      if (!std::isnan(truth)) {
        EXPECT_EQ(fan.target[h], truth);
      }
    }
    ASSERT_EQ(fan.history.size(), 12U);
    if (!std::isnan(panel_.at(s, 57))) {
      EXPECT_EQ(fan.history.back(), panel_.at(s, 57));
    }
    ASSERT_EQ(fan.forecasts.size(), 4U);
    EXPECT_EQ(fan.forecasts[0].quantiles_qh.size(), 9U * 6U);
  }
}

TEST_F(Backtest, refuses_what_it_cannot_judge) {
  const auto message = [&](auto change) {
    BacktestConfig config = small_backtest();
    change(config);
    try {
      run(config);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_THAT(message([](auto& c) { c.origins = 5; }), HasSubstr("reaches into training"));
  EXPECT_THAT(message([](auto& c) { c.origins = 50; }), HasSubstr("do not fit"));
  EXPECT_THAT(message([](auto& c) { c.horizon = 9; }), HasSubstr("longer than what the model forecasts"));
  EXPECT_THAT(message([](auto& c) { c.by = {"shopp"}; }), HasSubstr("did you mean 'shop'"));
  EXPECT_THAT(message([](auto& c) { c.batch = 0; }), HasSubstr("backtest.batch"));
}

TEST_F(Backtest, refuses_a_model_that_is_called_as_a_baseline_is) {
  struct Ets final : Forecaster {
    std::string called = "ETS";
    const std::string& name() const override { return called; }
    void forecast(const data::Batch&, ForecastValues&) override { FAIL() << "it should not come to this"; }
  } model;
  BacktestConfig config = small_backtest();
  config.baselines = {"naive", "ets"};
  try {
    run(config, &model);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("rename the run's folder"));
  }
}

TEST_F(Backtest, judges_the_baselines_it_is_asked_for_in_that_order) {
  BacktestConfig config = small_backtest();
  config.baselines = {"theta", "moving_average", "ets"};
  SeasonalQuantiles model(7, 3);
  const BacktestResult result = run(config, &model);
  std::vector<std::string> names;
  for (const ForecasterResult& forecaster : result.forecasters) names.push_back(forecaster.name);
  EXPECT_THAT(names, ElementsAre("Seasonal quantiles", "Theta", "Moving average (14)", "ETS"));
  EXPECT_EQ(result.comparisons.size(), 3U * 3U);

  config.baselines.clear();
  const BacktestResult alone = run(config, &model);
  EXPECT_EQ(alone.forecasters.size(), 1U);
  EXPECT_NO_THROW(write_backtest(alone, folder_.path() / "alone", RunMetadata{}));
  EXPECT_THROW(run(config), Error);  // nothing to judge
}

TEST_F(Backtest, groups_series_by_what_they_were_before_the_first_origin) {
  BacktestConfig config = small_backtest();
  config.by = {"demand_class", "shop", "volume", "age"};
  const std::int64_t first = panel_.demand_end - config.horizon - 2 * config.stride;
  std::map<std::string, double> n;
  for_each_step(panel_, config, [&](std::int64_t s, auto...) {
    std::vector<float> past;
    for (std::int64_t t = 0; t < first; ++t) past.push_back(panel_.at(s, t));
    const SeriesProfile profile = profile_of(past, first);
    n["demand_class " + std::to_string(static_cast<int>(demand_class(profile)))] += 1;
    n[profile.age < 12 ? "age 1" : "age 0"] += 1;
  });
  for (const std::int64_t batch : {4, 1000}) {
    config.batch = batch;
    const BacktestResult result = run(config);
    const std::vector<GroupScores>& groups = result.forecasters.front().groups;
    ASSERT_EQ(groups.size(), 5U + 3U + 11U + 2U);
    double volumes = 0;
    for (std::size_t i = 0; i < groups.size(); ++i) {
      const auto count = static_cast<double>(groups[i].score("mae").n);
      const std::size_t first_of_group = groups[i].group == "age" ? 19 : 0;
      if (groups[i].group == "demand_class" || groups[i].group == "age") {
        EXPECT_EQ(count, n[groups[i].group + " " + std::to_string(i - first_of_group)]) << i;
      }
      if (groups[i].group == "volume") volumes += count;
    }
    EXPECT_EQ(volumes, result.judgement.targets);
  }
}

TEST(BacktestConfig, refuses_baselines_that_are_unknown_or_named_twice) {
  const auto message = [](std::vector<std::string> baselines) -> std::string {
    BacktestConfig config;
    config.baselines = std::move(baselines);
    try {
      config.validate();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message(method_names()), "");
  EXPECT_THAT(message({"naive", "holt_winter"}), HasSubstr("names 'holt_winter', which is no baseline"));
  EXPECT_THAT(message({"naive", "holt_winter"}), HasSubstr("did you mean 'holt_winters'?"));
  EXPECT_THAT(message({"prophet"}), HasSubstr("there are naive, seasonal_naive, drift"));
  EXPECT_THAT(message({"ses", "ets", "ses"}), HasSubstr("'ses' twice"));
}

TEST(BacktestConfig, refuses_what_is_named_twice_in_every_list) {
  const auto message = [](const std::function<void(BacktestConfig&)>& change) -> std::string {
    BacktestConfig config;
    change(config);
    try {
      config.validate();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(message([](auto& c) {
                c.by = {"store", "horizon", "store"};
              }),
              HasSubstr("backtest.by names 'store' twice"));
  EXPECT_THAT(message([](auto& c) { c.views = {"week", "week"}; }), HasSubstr("backtest.views"));
  EXPECT_THAT(message([](auto& c) {
                c.combine.methods = {"mean", "mean"};
              }),
              HasSubstr("backtest.combine.methods names 'mean' twice"));
  EXPECT_THAT(message([](auto& c) {
                c.combine.of = {"naive", "model", "naive"};
              }),
              HasSubstr("backtest.combine.of names 'naive' twice"));
}

TEST_F(Backtest, on_more_ranks_than_windows_is_an_error_and_no_hang) {
  const data::FeatureSpec features = spec(28, 8);
  BacktestConfig config = small_backtest();
  config.origins = 1;  // 11 windows
  EXPECT_THROW(parallel::run_ranks_as_threads(12,
                                              [&](parallel::Communicator& communicator) {
                                                run_backtest(config, corpus(), features, {}, 40,
                                                             communicator);
                                              }),
               Error);
}

TEST_F(Backtest, names_the_series_whose_forecast_is_not_a_number) {
  class Broken final : public Forecaster {
   public:
    const std::string& name() const override { return name_; }
    void forecast(const data::Batch& batch, ForecastValues& values) override {
      values = {{},
                {},
                std::vector<float>(batch.target_bh.size(), 1.0F),
                std::vector<float>(batch.target_bh.size(), 1.0F)};
      for (std::size_t b = 0; b < batch.window_b.size(); ++b)
        if (batch.window_b[b].series == 6)
          values.mean_bh[b * batch.target_bh.size() / batch.window_b.size()] = kNan;
    }

   private:
    std::string name_ = "broken";
  } broken;
  try {
    run(small_backtest(), &broken);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(),
                HasSubstr("broken forecast a value that is not a number for series series-6 on 2024-"));
  }
}

TEST_F(Backtest, error_sums_by_date_add_up_to_everybodys_errors) {
  SeasonalQuantiles model(7, 3);
  const BacktestResult result = run(small_backtest(), &model);
  std::map<std::string, std::pair<double, double>> sums;  // n and absolute errors, by forecaster
  std::istringstream lines(dates_csv(result));
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    std::vector<std::string> cells;  // no cell of these has a comma
    std::istringstream parts(line);
    for (std::string cell; std::getline(parts, cell, ',');) cells.push_back(cell);
    ASSERT_EQ(cells.size(), 7U) << line;
    sums[cells[0]].first += std::stod(cells[3]);
    sums[cells[0]].second += std::stod(cells[4]);
  }
  EXPECT_EQ(sums.size(), result.forecasters.size());
  for (const ForecasterResult& forecaster : result.forecasters) {
    const auto& [n, absolute] = sums.at(forecaster.name);
    EXPECT_EQ(n, result.judgement.targets) << forecaster.name;
    EXPECT_NEAR(absolute / n, *forecaster.overall.score("mae").value, 1e-6) << forecaster.name;
  }
}

TEST_F(Backtest, writes_json_and_csv_without_nan_and_with_every_group) {
  SeasonalQuantiles model(7, 3);
  const BacktestResult result = run(small_backtest(), &model);
  write_backtest(result, folder_.path() / "run", RunMetadata{});
  for (const char* file :
       {"result.json", "metrics.csv", "series.csv", "dates.csv", "wrmsse.csv", "fans.json", "run.json"})
    EXPECT_TRUE(std::filesystem::exists(folder_.path() / "run" / "backtest" / file)) << file;
  const std::string json = result_json(result).dump(), csv = result_csv(result);
  for (const char* word : {"nan", "inf"}) {
    EXPECT_EQ(csv.find(word), std::string::npos);
    EXPECT_EQ(json.find(word), std::string::npos);
  }
  EXPECT_THAT(csv, HasSubstr("Naive,category,never sold,mae,,0\n"));
  EXPECT_THAT(csv, HasSubstr("Naive,store,\"Ōsaka \"\"3\"\", <main>\",mae,"));
  EXPECT_THAT(csv, HasSubstr("Seasonal quantiles,horizon,6,coverage@0.8,"));
  const auto parsed = nlohmann::json::parse(json);
  EXPECT_EQ(parsed["forecasters"][0]["by"]["category"]["never sold"]["mae"]["n"], 0);
  EXPECT_TRUE(parsed["forecasters"][0]["by"]["category"]["never sold"]["mae"]["value"].is_null());
  EXPECT_EQ(parsed["protocol"]["origins"].size(), 3U);
  write_backtest(result, folder_.path() / "run", RunMetadata{});  // again: replaces
}

TEST_F(Backtest, reports_what_a_corpus_without_levels_cannot_group_by) {
  BacktestConfig config = small_backtest();
  config.by = {"family", "horizon"};
  EXPECT_EQ(run(config).forecasters[0].groups.size(), 4U + 6U);
}

}  // namespace
}  // namespace shelfcast::eval
