#include "eval/baselines/statistical.h"

#include <algorithm>

#include "base/error.h"
#include "base/share.h"

namespace shelfcast::eval {

BatchHistories::BatchHistories(const data::CorpusSource& corpus, const std::string& censored,
                               std::int64_t season, SeasonalGaps gaps, std::int64_t history)
    : reader_(corpus, censored, season, {}), season_(season), gaps_(gaps), history_(history) {
  SHELFCAST_ASSERT(season >= 1);
}

std::int64_t BatchHistories::first_step(std::int64_t origin) const {
  return history_ > 0 ? std::max<std::int64_t>(0, origin - history_) : 0;
}

void BatchHistories::load(const data::Batch& batch) {
  const auto same = [](const data::Window& a, const data::Window& b) {
    return a.series == b.series && a.origin == b.origin;
  };
  if (std::ranges::equal(batch.window_b, windows_, same)) return;
  windows_.clear();  // stays empty if reading fails
  histories_.clear();
  std::map<std::int64_t, std::vector<std::int64_t>> wanted;  // origins by series
  for (const data::Window& window : batch.window_b)
    if (window.series >= 0) wanted[window.series].push_back(window.origin);
  for (auto first = wanted.begin(); first != wanted.end();) {
    auto end = std::next(first);  // of the run of neighbours
    std::int64_t count = 1;
    for (; end != wanted.end() && end->first == first->first + count; ++end) ++count;
    reader_.load(first->first, count);
    for (; first != end; ++first)
      for (const std::int64_t origin : first->second) add(first->first, origin);
  }
  windows_ = batch.window_b;
}

// A filled value depends on nothing after it, so that all histories from one step on share a filling.
void BatchHistories::add(std::int64_t series, std::int64_t origin) {
  const std::int64_t first = first_step(origin);
  const std::span<const float> demand = reader_.demand(series);
  if (const std::pair key(series, first); !histories_.contains(key))
    histories_.emplace(key, FilledHistory(demand.subspan(static_cast<std::size_t>(first)), season_, gaps_));
}

History BatchHistories::before(const data::Window& window) const {
  if (window.series < 0) return {};
  const std::int64_t first = first_step(window.origin);
  const auto found = histories_.find({window.series, first});
  SHELFCAST_ASSERT(found != histories_.end());
  return found->second.before(window.origin - first);
}

HistoryForecaster::HistoryForecaster(const NamedMethod& method, MethodOptions options,
                                     std::shared_ptr<BatchHistories> histories, std::int64_t threads)
    : method_(method),
      options_(options),
      name_(label_of(method, options.window)),
      histories_(std::move(histories)),
      threads_(threads) {}

void HistoryForecaster::forecast(const data::Batch& batch, ForecastValues& values) {
  histories_->load(batch);
  const std::size_t rows = batch.window_b.size();
  const std::size_t horizon = rows == 0 ? 0 : batch.target_bh.size() / rows;
  values.levels.clear();
  values.quantiles_bqh.clear();
  values.mean_bh.resize(rows * horizon);
  values.simpler_b.resize(rows);
  share(rows, threads_, [&](std::size_t row) {
    const History history = histories_->before(batch.window_b[row]);
    std::vector<double> steps(horizon);
    values.simpler_b[row] = forecast_history(method_, history, options_, steps) == MadeBy::simpler ? 1 : 0;
    // As models' forecasts are; only a history with returns may go on below 0.
    const bool returns = std::ranges::any_of(history.filled, [](double value) { return value < 0.0; });
    std::ranges::transform(
        steps, values.mean_bh.begin() + static_cast<std::ptrdiff_t>(row * horizon),
        [&](double value) { return static_cast<float>(returns ? value : std::max(value, 0.0)); });
  });
  values.median_bh = values.mean_bh;
}

std::vector<std::unique_ptr<Forecaster>> make_baselines(const BacktestConfig& config,
                                                        const data::CorpusSource& corpus,
                                                        const std::string& censored, std::int64_t threads) {
  std::vector<std::unique_ptr<Forecaster>> baselines;
  if (config.baselines.empty()) return baselines;
  const auto histories =
      std::make_shared<BatchHistories>(corpus, censored, config.season, config.seasonal_gaps, config.history);
  for (const std::string& name : config.baselines) {
    const auto method = std::ranges::find(statistical_methods(), name, &NamedMethod::name);
    if (method == statistical_methods().end()) continue;  // a learned one: validate() has seen the names
    baselines.push_back(std::make_unique<HistoryForecaster>(
        *method, MethodOptions{config.season, config.window}, histories, threads));
  }
  return baselines;
}

}  // namespace shelfcast::eval
