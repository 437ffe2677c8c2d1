// What Chronos-2 reads: series in their own scale, cut into patches with their place in time, and their known
// future.
#pragma once

#include <torch/types.h>

#include "models/normalise.h"
#include "models/series/chronos2_config.h"

namespace shelfcast::models {

// Legend: b series (rows), t context steps, h steps ahead, n context patches, f output patches, p steps of a
// patch, l tokens: n patches, REG (if any), f patches of the future.

// One batch. A row is a series: one to forecast, a past covariate or one known ahead; all get a forecast.
struct Chronos2Inputs {
  at::Tensor context_bt;   // float32, NaN = missing; t >= 1, steps before the last context_length are cut off
  at::Tensor group_ids_b;  // int64; rows with equal ids exchange information. Undefined = each row for itself
  at::Tensor future_bh;  // float32, known future values, NaN = unknown; h <= f * p. Undefined = nothing known
  std::int64_t patches = 1;  // f
};

struct Chronos2Patches {
  at::Tensor patches;      // [b, n + f, 3p]: place in time, values, 1 where observed or known
  at::Tensor attended_bl;  // bool: patches with any observation, REG, all of the future
  at::Tensor loc_b, scale_b;
  std::int64_t context_patches = 0;  // n
};

// Throws Error(input) for shapes that do not fit.
Chronos2Patches chronos2_patches(const Chronos2Inputs& inputs, const Chronos2Config& config);
// The same of a context in its own scale, at most context_length steps of it.
Chronos2Patches chronos2_patches(const Normalised& context, const at::Tensor& future_bh, std::int64_t patches,
                                 const Chronos2Config& config);

// [b, h] in the scale of each row; NaN stays NaN.
at::Tensor scaled_by(const at::Tensor& x_bh, const at::Tensor& loc_b, const at::Tensor& scale_b,
                     bool arcsinh);

}  // namespace shelfcast::models
