// Forecasts of many series on several threads.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "scorer/forward/demand_model.h"

namespace shelfcast::scorer {

// In units of demand; b series, q quantiles, h horizon steps.
struct Forecasts {
  std::int64_t series = 0, levels = 0, horizon = 0;
  std::vector<float> quantiles_bqh;  // ascending over q, not below 0
  std::vector<float> mean_bh;        // not below 0
  std::vector<float> scale_b;        // the divisor of each series' instance norm
};

// Throws Error(data) naming the first column, series and step whose code the model has no embedding for, or
// the series whose text is not there.
void check_codes(const ModelInputs& inputs, const ModelConfig& config);

// Forecasts series `which` of `inputs` (all of them when empty), in that order, on `threads` threads. The
// numbers do not depend on `threads`, bit for bit. `inputs` passed check_codes(). `progress` (may be empty)
// is called from the calling thread with the number of series done.
Forecasts forecast(const DemandModel& model, const ModelInputs& inputs,
                   const std::vector<std::int64_t>& which, int threads,
                   const std::function<void(std::int64_t)>& progress = {});

}  // namespace shelfcast::scorer
