// The `backtest` block of a recipe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace shelfcast::eval {

// What Seasonal Naive repeats where the step one season back was not observed.
enum class SeasonalGaps {
  last_season,  // the last observed value of the same season step: the stronger baseline
  last_value,   // the last observed value before that step: what published tables were made with
};

struct BacktestConfig {
  std::int64_t origins = 3;   // rolling origins; the last one's horizon ends on the last day of demand
  std::int64_t stride = 28;   // steps between origins
  std::int64_t horizon = 28;  // steps judged; at most the model's horizon
  std::int64_t batch =
      256;  // E: windows per evaluation batch; part of what results depend on, so never derived
  std::int64_t season = 7;   // of Seasonal Naive and of the MASE scale
  std::int64_t window = 28;  // steps the moving average looks back on
  SeasonalGaps seasonal_gaps = SeasonalGaps::last_season;
  std::vector<std::string> by = {"category", "store", "horizon"};  // also any static's name
  std::int64_t bootstrap = 1000;  // resamples of the paired bootstrap over series
  std::int64_t fans = 8;          // series whose forecasts are kept for plots; 0 = none

  // Throws Error(input) naming the field.
  void validate() const;
};

}  // namespace shelfcast::eval
