#include "eval/baselines/learned/learned.h"

#include <algorithm>
#include <cmath>
#include <set>

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

// The first step that is seen from `step`.
std::int64_t first_seen(std::int64_t step, std::int64_t history) {
  return history > 0 ? std::max<std::int64_t>(0, step - history) : 0;
}

// Rows to learn from: steps in [from, fit_end), each seen from up to a horizon before it; a step may be drawn
// again, and rows without a target or a past are left out. Each series gives the same number, or as many as
// there are.
LearningTable draw(FeatureMaker& maker, std::int64_t from, std::int64_t fit_end, std::int64_t horizon,
                   std::int64_t rows, std::int64_t threads) {
  const std::int64_t series = maker.info().series, each = std::max<std::int64_t>(1, rows / series),
                     columns = std::ssize(maker.names());
  LearningTable table;
  table.columns = columns;
  if (fit_end - from < 2) return table;  // no step that has a past
  for (std::int64_t first = 0; first < series; first += kBlockSeries) {
    const std::int64_t count = std::min(kBlockSeries, series - first);
    maker.load(first, count, from);
    activity::note_progress();
    std::vector<std::vector<float>> features(static_cast<std::size_t>(count)), targets(features.size());
    share(features.size(), threads, [&](std::size_t i) {
      const std::int64_t s = first + static_cast<std::int64_t>(i);
      std::vector<float> row(static_cast<std::size_t>(columns));
      RandomStream random(mix(mix(kSeed, key_of("learned baselines")), static_cast<std::uint64_t>(s)));
      for (std::int64_t k = 0; k < each; ++k) {
        const auto past =
            1 + static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(fit_end - from - 1)));
        const auto ahead =
            static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(std::min(horizon, past))));
        const std::int64_t step = from + past;
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
  BatchRows(const data::CorpusSource& corpus, const data::FeatureSpec& spec, std::int64_t season,
            std::int64_t history, std::int64_t threads)
      : maker_(corpus, spec, season), history_(history), threads_(threads) {}

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
  // Rows of windows [first, end), whose series follow each other: read once for all origins that see the same
  // past.
  void make(std::size_t first, std::size_t end, std::size_t horizon) {
    std::set<std::int64_t> from;
    for (std::size_t i = first; i < end; ++i) from.insert(first_seen(windows_[i].origin, history_));
    for (const std::int64_t step : from) {
      maker_.load(windows_[first].series, windows_[end - 1].series - windows_[first].series + 1, step);
      make_seen_from(step, first, end, horizon);
    }
  }
  void make_seen_from(std::int64_t step, std::size_t first, std::size_t end, std::size_t horizon) {
    share(end - first, threads_, [&](std::size_t i) {
      const data::Window& window = windows_[first + i];
      if (first_seen(window.origin, history_) != step) return;
      for (std::size_t h = 0; h < horizon; ++h) {
        const std::size_t row = (first + i) * horizon + h;
        bases_[row] = maker_.make(window.series, window.origin, static_cast<std::int64_t>(h),
                                  features_.data() + row * static_cast<std::size_t>(columns()));
      }
    });
  }

  FeatureMaker maker_;
  std::int64_t history_, threads_;
  std::vector<data::Window> windows_;
  std::vector<float> features_;
  std::vector<double> bases_;
};

// What all learned baselines are fitted on: drawn once for each origin that they are fitted at.
class Lessons {
 public:
  // For so many methods, each of which is fitted at every such origin.
  Lessons(const BacktestConfig& config, std::size_t methods, std::shared_ptr<BatchRows> rows,
          parallel::Communicator& communicator)
      : config_(config), methods_(methods), rows_(std::move(rows)), communicator_(communicator) {}

  // The method fitted to what came before `origin`: by rank 0, the same on every rank. Collective.
  std::unique_ptr<Regressor> fit(const std::string& method, std::int64_t origin) {
    std::vector<std::byte> bytes;
    if (communicator_.rank() == 0) {
      if (fitted_ == 0) draw_before(origin);
      log::all("learned baselines: fitting {}", method);  // may take minutes
      bytes = eval::fit(method, table_, rows_->maker().categorical(), config_, rows_->threads());
      fitted_ = (fitted_ + 1) % methods_;
      if (fitted_ == 0) table_ = {};
    }
    communicator_.broadcast(bytes, 0, "fitted baseline " + method);
    return method == "ridge" ? load_ridge(bytes) : load_trees(bytes, rows_->columns());
  }

 private:
  void draw_before(std::int64_t origin) {
    FeatureMaker& maker = rows_->maker();
    table_ = draw(maker, first_seen(origin, config_.history), origin, config_.horizon, config_.learned_rows,
                  rows_->threads());
    log::all("learned baselines: {} rows drawn from before {} to learn from, {} features", table_.rows(),
             format_date(maker.info().axis.date_of(origin)), table_.columns);
    if (table_.rows() < table_.columns)
      throw input_error(fmt::format("learned baselines have only {} rows to learn from, for {} features",
                                    table_.rows(), table_.columns),
                        config_.history > 0 ? "backtest.history is too short, or demand is too sparse"
                                            : "demand before the first origin is too short or too sparse",
                        "leave ridge, random_forest and boosting out of backtest.baselines");
  }

  BacktestConfig config_;
  std::size_t methods_;
  std::shared_ptr<BatchRows> rows_;
  parallel::Communicator& communicator_;
  std::size_t fitted_ = 0;  // methods, of this origin's table
  LearningTable table_;
};

class LearnedForecaster final : public Forecaster {
 public:
  LearnedForecaster(LearnedMethod method, std::shared_ptr<Lessons> lessons, std::shared_ptr<BatchRows> rows)
      : method_(std::move(method)), lessons_(std::move(lessons)), rows_(std::move(rows)) {}

  const std::string& name() const override { return method_.label; }
  void refit(std::int64_t origin) override { regressor_ = lessons_->fit(method_.name, origin); }
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
  LearnedMethod method_;
  std::shared_ptr<Lessons> lessons_;
  std::shared_ptr<BatchRows> rows_;
  std::unique_ptr<Regressor> regressor_;
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
                                                      const data::CorpusSource& corpus,
                                                      const data::FeatureSpec& spec, std::int64_t threads,
                                                      parallel::Communicator& communicator) {
  std::vector<std::unique_ptr<Forecaster>> forecasters;
  std::vector<LearnedMethod> chosen;
  for (const std::string& name : config.baselines)
    if (const auto found = std::ranges::find(learned_methods(), name, &LearnedMethod::name);
        found != learned_methods().end())
      chosen.push_back(*found);
  if (chosen.empty()) return forecasters;
  const auto rows = std::make_shared<BatchRows>(corpus, spec, config.season, config.history, threads);
  const auto lessons = std::make_shared<Lessons>(config, chosen.size(), rows, communicator);
  for (const LearnedMethod& method : chosen)
    forecasters.push_back(std::make_unique<LearnedForecaster>(method, lessons, rows));
  return forecasters;
}

}  // namespace shelfcast::eval
