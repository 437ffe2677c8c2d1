#include "eval/baselines/statistical.h"

#include <algorithm>

#include "base/error.h"
#include "base/share.h"

namespace shelfcast::eval {

BatchHistories::BatchHistories(const std::filesystem::path& corpus, const std::string& censored,
                               std::int64_t season, SeasonalGaps gaps)
    : reader_(corpus, censored, season, {}), season_(season), gaps_(gaps) {}

void BatchHistories::load(const data::Batch& batch) {
  std::vector<std::int64_t> wanted;
  for (const data::Window& window : batch.window_b)
    if (window.series >= 0) wanted.push_back(window.series);
  std::ranges::sort(wanted);
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  if (wanted == series_) return;
  series_.clear();  // stays empty if reading fails
  histories_.clear();
  for (std::size_t i = 0; i < wanted.size();) {
    std::size_t end = i + 1;  // of the run of neighbours
    while (end < wanted.size() && wanted[end] == wanted[end - 1] + 1) ++end;
    reader_.load(wanted[i], static_cast<std::int64_t>(end - i));
    for (; i < end; ++i) histories_.emplace_back(reader_.demand(wanted[i]), season_, gaps_);
  }
  series_ = std::move(wanted);
}

History BatchHistories::before(const data::Window& window) const {
  if (window.series < 0) return {};
  const auto found = std::ranges::lower_bound(series_, window.series);
  SHELFCAST_ASSERT(found != series_.end() && *found == window.series);
  return histories_[static_cast<std::size_t>(found - series_.begin())].before(window.origin);
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
  share(rows, threads_, [&](std::size_t row) {
    const History history = histories_->before(batch.window_b[row]);
    std::vector<double> steps(horizon);
    forecast_history(method_, history, options_, steps);
    // As models' forecasts are; only a history with returns may go on below 0.
    const bool returns = std::ranges::any_of(history.filled, [](double value) { return value < 0.0; });
    std::ranges::transform(
        steps, values.mean_bh.begin() + static_cast<std::ptrdiff_t>(row * horizon),
        [&](double value) { return static_cast<float>(returns ? value : std::max(value, 0.0)); });
  });
  values.median_bh = values.mean_bh;
}

std::vector<std::unique_ptr<Forecaster>> make_baselines(const BacktestConfig& config,
                                                        const std::filesystem::path& corpus,
                                                        const std::string& censored, std::int64_t threads) {
  std::vector<std::unique_ptr<Forecaster>> baselines;
  if (config.baselines.empty()) return baselines;
  const auto histories =
      std::make_shared<BatchHistories>(corpus, censored, config.season, config.seasonal_gaps);
  for (const std::string& name : config.baselines) {
    const auto method = std::ranges::find(statistical_methods(), name, &NamedMethod::name);
    if (method == statistical_methods().end()) continue;  // a learned one: validate() has seen the names
    baselines.push_back(std::make_unique<HistoryForecaster>(
        *method, MethodOptions{config.season, config.window}, histories, threads));
  }
  return baselines;
}

}  // namespace shelfcast::eval
