#include "eval/baselines/statistical.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace shelfcast::eval {
namespace {

using Steps = std::span<const float>;

// Index of the last observation at or before `index`, looking back by `stride`; -1 when there is none.
std::int64_t last_observed(Steps context, std::int64_t index, std::int64_t stride) {
  while (index >= 0 && std::isnan(context[static_cast<std::size_t>(index)])) index -= stride;
  return std::max<std::int64_t>(index, -1);
}

float last_value(Steps context) {
  return context[static_cast<std::size_t>(last_observed(context, std::ssize(context) - 1, 1))];
}

class Naive final : public ContextForecaster {
 public:
  Naive() : ContextForecaster("Naive") {}

 private:
  void forecast_window(Steps context, std::span<float> steps) const override {
    std::ranges::fill(steps, last_value(context));
  }
};

class SeasonalNaive final : public ContextForecaster {
 public:
  SeasonalNaive(std::int64_t season, SeasonalGaps gaps)
      : ContextForecaster("Seasonal Naive"),
        season_(season),
        look_back_(gaps == SeasonalGaps::last_season ? season : 1) {}

 private:
  void forecast_window(Steps context, std::span<float> steps) const override {
    for (std::int64_t h = 0; h < std::ssize(steps); ++h) {
      const std::int64_t same_step = std::ssize(context) - season_ + h % season_;
      const std::int64_t index = last_observed(context, same_step, look_back_);
      steps[static_cast<std::size_t>(h)] =
          index >= 0 ? context[static_cast<std::size_t>(index)] : last_value(context);
    }
  }

  std::int64_t season_, look_back_;
};

class MovingAverage final : public ContextForecaster {
 public:
  explicit MovingAverage(std::int64_t window)
      : ContextForecaster(fmt::format("Moving average ({})", window)), window_(window) {}

 private:
  void forecast_window(Steps context, std::span<float> steps) const override {
    double sum = 0.0, count = 0.0;
    for (const float value : context.last(static_cast<std::size_t>(std::min(window_, std::ssize(context))))) {
      if (std::isnan(value)) continue;
      sum += value;
      count += 1.0;
    }
    std::ranges::fill(steps, count > 0 ? static_cast<float>(sum / count) : last_value(context));
  }

  std::int64_t window_;
};

}  // namespace

void ContextForecaster::forecast(const data::Batch& batch, ForecastValues& values) {
  const auto windows = static_cast<std::size_t>(batch.windows);
  const std::size_t context = windows == 0 ? 0 : batch.context_bt.size() / windows;
  const std::size_t horizon = windows == 0 ? 0 : batch.target_bh.size() / windows;
  values.levels.clear();
  values.quantiles_bqh.clear();
  values.mean_bh.assign(windows * horizon, 0.0F);
  for (std::size_t b = 0; b < windows; ++b) {
    const Steps past(batch.context_bt.data() + b * context, context);
    if (std::ranges::all_of(past, [](float value) { return std::isnan(value); })) continue;
    forecast_window(past, std::span(values.mean_bh).subspan(b * horizon, horizon));
  }
  values.median_bh = values.mean_bh;
}

std::unique_ptr<Forecaster> make_naive() { return std::make_unique<Naive>(); }

std::unique_ptr<Forecaster> make_seasonal_naive(std::int64_t season, SeasonalGaps gaps) {
  return std::make_unique<SeasonalNaive>(season, gaps);
}

std::unique_ptr<Forecaster> make_moving_average(std::int64_t window) {
  return std::make_unique<MovingAverage>(window);
}

std::vector<std::unique_ptr<Forecaster>> make_baselines(const BacktestConfig& config) {
  std::vector<std::unique_ptr<Forecaster>> baselines;
  baselines.push_back(make_seasonal_naive(config.season, config.seasonal_gaps));
  baselines.push_back(make_moving_average(config.window));
  baselines.push_back(make_naive());
  return baselines;
}

}  // namespace shelfcast::eval
