// Baselines that need no training: Naive, Seasonal Naive and a moving average. They look at the window's
// context only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "eval/config.h"
#include "eval/forecaster.h"

namespace shelfcast::eval {

// A point forecast per window from its context alone. A context without any observation forecasts 0
// throughout: demand nobody has seen yet, and the one value that stays sensible when judged against zeros.
class ContextForecaster : public Forecaster {
 public:
  const std::string& name() const override { return name_; }
  void forecast(const data::Batch& batch, ForecastValues& values) final;

 protected:
  explicit ContextForecaster(std::string name) : name_(std::move(name)) {}

 private:
  // `context` holds at least one observation. Fills `steps`, one per horizon step.
  virtual void forecast_window(std::span<const float> context, std::span<float> steps) const = 0;

  std::string name_;
};

// Every step repeats the last observed value.
std::unique_ptr<Forecaster> make_naive();

// Step h repeats the value one season (or the fewest whole seasons) before it; where that was not observed,
// `gaps` says what stands in; where nothing does, the last observed value of the context.
std::unique_ptr<Forecaster> make_seasonal_naive(std::int64_t season, SeasonalGaps gaps);

// Every step is the mean of the observed values among the last `window` steps; where there is none among
// them, the last observed value.
std::unique_ptr<Forecaster> make_moving_average(std::int64_t window);

// The three of them, as every backtest judges beside the model.
std::vector<std::unique_ptr<Forecaster>> make_baselines(const BacktestConfig& config);

}  // namespace shelfcast::eval
