#include "eval/baselines/learned/learned.h"

#include <algorithm>
#include <cmath>
#include <mutex>

#include "base/activity.h"
#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "base/share.h"
#include "eval/baselines/learned/features.h"
#include "eval/baselines/learned/ridge.h"
#include "eval/baselines/learned/trees.h"

namespace shelfcast::eval {
namespace {

constexpr std::int64_t kBlockSeries = 64;  // read at a time while fitting
constexpr std::uint64_t kSeed = 17;
constexpr double kRidgePenalty = 1e-3;
constexpr std::int64_t kLeastPast = 8;  // observed steps before an origin that is learnt from
constexpr float kFarthest = 5.0F;       // a forecast is within e^5 times 1 + base

// The learnt number is log(1 + demand) - log(1 + base).
double to_demand(float learnt, double base) {
  return std::max(
      0.0, std::expm1(static_cast<double>(std::clamp(learnt, -kFarthest, kFarthest)) + std::log1p(base)));
}

TreeOptions boosting_options(std::int64_t rounds) {
  return {{{"objective", "reg:squarederror"},
           {"tree_method", "hist"},
           {"max_depth", "8"},
           {"min_child_weight", "20"},
           {"eta", "0.05"},
           {"subsample", "0.8"},
           {"colsample_bytree", "0.6"},
           {"seed", "17"}},
          static_cast<int>(rounds)};
}

// A random forest is one round of many trees, each on its own draw of rows and columns (Breiman, 2001).
TreeOptions forest_options() {
  return {{{"objective", "reg:squarederror"},
           {"tree_method", "hist"},
           {"max_depth", "12"},
           {"min_child_weight", "5"},
           {"eta", "1"},
           {"num_parallel_tree", "100"},
           {"subsample", "0.63"},
           {"colsample_bynode", "0.33"},
           {"lambda", "0"},
           {"seed", "17"}},
          1};
}

// Steps to learn from. Each series gives the same number, or as many as there are.
LearningTable draw(FeatureMaker& maker, std::int64_t fit_end, std::int64_t horizon, std::int64_t rows,
                   std::int64_t threads) {
  const std::int64_t series = maker.info().series, each = std::max<std::int64_t>(1, rows / series),
                     columns = std::ssize(maker.names());
  LearningTable table;
  table.columns = columns;
  for (std::int64_t first = 0; first < series; first += kBlockSeries) {
    const std::int64_t count = std::min(kBlockSeries, series - first);
    maker.load(first, count);
    activity::note_progress();
    std::vector<std::vector<float>> features(static_cast<std::size_t>(count)), targets(features.size());
    share(features.size(), threads, [&](std::size_t i) {
      const std::int64_t s = first + static_cast<std::int64_t>(i);
      std::vector<float> row(static_cast<std::size_t>(columns));
      RandomStream random(mix(mix(kSeed, key_of("learned baselines")), static_cast<std::uint64_t>(s)));
      for (std::int64_t k = 0; k < each; ++k) {
        const auto step =
            1 + static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(fit_end - 1)));
        const auto ahead =
            static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(std::min(horizon, step))));
        const float target = maker.demand(s, step);
        // Without a past there is no level that the target could be compared with.
        if (std::isnan(target) || maker.observed_before(s, step - ahead) < kLeastPast) continue;
        const double base = maker.make(s, step - ahead, ahead, row.data());
        features[i].insert(features[i].end(), row.begin(), row.end());
        const double ratio = std::log1p(std::max(static_cast<double>(target), 0.0)) - std::log1p(base);
        targets[i].push_back(std::clamp(static_cast<float>(ratio), -kFarthest, kFarthest));
      }
    });
    for (std::size_t i = 0; i < features.size(); ++i) {
      table.features.insert(table.features.end(), features[i].begin(), features[i].end());
      table.targets.insert(table.targets.end(), targets[i].begin(), targets[i].end());
    }
  }
  return table;
}

std::vector<std::byte> fit(const std::string& method, const LearningTable& table,
                           const std::vector<bool>& categorical, const BacktestConfig& config,
                           std::int64_t threads) {
  if (method == "ridge") return fit_ridge(table, categorical, kRidgePenalty);
  const TreeOptions options =
      method == "boosting" ? boosting_options(config.learned_rounds) : forest_options();
  return fit_trees(table, options, threads, [] { activity::note_progress(); });
}

// The feature rows of the batch at hand, made once for all learned baselines.
class BatchRows {
 public:
  BatchRows(const std::filesystem::path& corpus, const data::FeatureSpec& spec, std::int64_t season,
            std::int64_t threads)
      : maker_(corpus, spec, season), threads_(threads) {}

  FeatureMaker& maker() { return maker_; }
  std::int64_t columns() const { return std::ssize(maker_.names()); }
  std::int64_t threads() const { return threads_; }
  const std::vector<float>& features() const { return features_; }  // [windows * horizon, columns]
  const std::vector<double>& bases() const { return bases_; }       // [windows * horizon]

  void load(const data::Batch& batch) {
    const auto same = [](const data::Window& a, const data::Window& b) {
      return a.series == b.series && a.origin == b.origin;
    };
    if (std::ranges::equal(batch.window_b, windows_, same)) return;
    windows_ = batch.window_b;
    const std::size_t horizon = windows_.empty() ? 0 : batch.target_bh.size() / windows_.size();
    features_.assign(windows_.size() * horizon * static_cast<std::size_t>(columns()), 0.0F);
    bases_.assign(windows_.size() * horizon, 0.0);
    // Windows are sorted by series: those whose series follow each other are read together.
    for (std::size_t first = 0; first < windows_.size();) {
      std::size_t end = first + 1;
      while (end < windows_.size() && windows_[end].series >= 0 &&
             windows_[end].series >= windows_[end - 1].series &&
             windows_[end].series <= windows_[end - 1].series + 1)
        ++end;
      if (windows_[first].series >= 0) make(first, end, horizon);
      first = end;
    }
  }

 private:
  void make(std::size_t first, std::size_t end, std::size_t horizon) {
    maker_.load(windows_[first].series, windows_[end - 1].series - windows_[first].series + 1);
    share(end - first, threads_, [&](std::size_t i) {
      const data::Window& window = windows_[first + i];
      for (std::size_t h = 0; h < horizon; ++h) {
        const std::size_t row = (first + i) * horizon + h;
        bases_[row] = maker_.make(window.series, window.origin, static_cast<std::int64_t>(h),
                                  features_.data() + row * static_cast<std::size_t>(columns()));
      }
    });
  }

  FeatureMaker maker_;
  std::int64_t threads_;
  std::vector<data::Window> windows_;
  std::vector<float> features_;
  std::vector<double> bases_;
};

class LearnedForecaster final : public Forecaster {
 public:
  LearnedForecaster(std::string label, std::unique_ptr<Regressor> regressor, std::shared_ptr<BatchRows> rows)
      : name_(std::move(label)), regressor_(std::move(regressor)), rows_(std::move(rows)) {}

  const std::string& name() const override { return name_; }
  void forecast(const data::Batch& batch, ForecastValues& values) override {
    rows_->load(batch);
    const std::vector<double>& bases = rows_->bases();
    std::vector<float> learnt(bases.size());
    regressor_->predict(rows_->features().data(), std::ssize(bases), rows_->threads(), learnt.data());
    values.levels.clear();
    values.quantiles_bqh.clear();
    values.mean_bh.resize(bases.size());
    for (std::size_t i = 0; i < bases.size(); ++i)
      values.mean_bh[i] = static_cast<float>(to_demand(learnt[i], bases[i]));
    values.median_bh = values.mean_bh;
  }

 private:
  std::string name_;
  std::unique_ptr<Regressor> regressor_;
  std::shared_ptr<BatchRows> rows_;
};

}  // namespace

const std::vector<LearnedMethod>& learned_methods() {
  static const std::vector<LearnedMethod> kMethods = {
      {"ridge", "Ridge regression", "a linear model with penalised weights on features of all series"},
      {"random_forest", "Random forest", "the mean of 100 trees grown on draws of all series' features"},
      {"boosting", "Gradient boosting", "trees of XGBoost, each fitted to what the ones before it leave"}};
  return kMethods;
}

std::vector<std::unique_ptr<Forecaster>> make_learned(const BacktestConfig& config,
                                                      const std::filesystem::path& corpus,
                                                      const data::FeatureSpec& spec, std::int64_t fit_end,
                                                      std::int64_t threads,
                                                      parallel::Communicator& communicator) {
  std::vector<std::unique_ptr<Forecaster>> forecasters;
  std::vector<LearnedMethod> chosen;
  for (const std::string& name : config.baselines)
    if (const auto found = std::ranges::find(learned_methods(), name, &LearnedMethod::name);
        found != learned_methods().end())
      chosen.push_back(*found);
  if (chosen.empty()) return forecasters;
  const auto rows = std::make_shared<BatchRows>(corpus, spec, config.season, threads);
  LearningTable table;
  if (communicator.rank() == 0) {
    table = draw(rows->maker(), fit_end, config.horizon, config.learned_rows, threads);
    log::all("learned baselines: {} steps before {} to learn from, {} features", table.rows(),
             format_date(rows->maker().info().axis.date_of(fit_end)), table.columns);
    if (table.rows() < table.columns)
      throw input_error(
          fmt::format("learned baselines have only {} observed steps to learn from", table.rows()),
          "demand before the first origin is too short or too sparse",
          "leave ridge, random_forest and boosting out of backtest.baselines");
  }
  for (const LearnedMethod& method : chosen) {
    std::vector<std::byte> bytes;
    if (communicator.rank() == 0)
      bytes = fit(method.name, table, rows->maker().categorical(), config, threads);
    communicator.broadcast(bytes, 0, "fitted baseline " + method.name);
    forecasters.push_back(std::make_unique<LearnedForecaster>(
        method.label, method.name == "ridge" ? load_ridge(bytes) : load_trees(bytes, rows->columns()), rows));
  }
  return forecasters;
}

}  // namespace shelfcast::eval
