// The published training loss of Chronos-2, as sums.
#pragma once

#include "models/demand_model.h"  // LossSums
#include "models/series/chronos2.h"

namespace shelfcast::models {

// In the scale of each row: twice the pinball loss, 0 where the target is missing (NaN) and where
// `inputs.future_bh` gives it away; mean over the h = patches * patch_size steps (missing ones count), sum
// over levels, then times weight_b (undefined = 1) and summed over rows. `valid_targets` is the weights' sum:
// loss / valid_targets is the published loss. `target_bh` float32 in the rows' own units, as many steps as
// known ones at most f * p. Rows of covariates have no target; they count in the mean all the same. Throws
// Error(input) for shapes that do not fit.
LossSums chronos2_loss(const Chronos2Forecast& forecast, const Chronos2Inputs& inputs,
                       const at::Tensor& target_bh, const at::Tensor& weight_b, const Chronos2Config& config);

}  // namespace shelfcast::models
