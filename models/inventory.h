// Stock on hand, forecast beside demand (docs/model.md, step 12).
#pragma once

#include <torch/types.h>

#include "models/config.h"

namespace shelfcast::models {

// Legend: b windows, t context steps, h horizon steps.

// Stock on hand in a scale of its window: y = scaled * scale_b + loc_b.
struct InventoryNorm {
  at::Tensor loc_b, scale_b;
  at::Tensor last_b;  // scaled, what was on hand when it was last seen; 0 where it never was
};
// `inventory_bt` in units, NaN = not observed. The scale is at least that of demand, so that a shelf that is
// always as full counts by what is sold of it.
InventoryNorm inventory_norm(const at::Tensor& inventory_bt, const at::Tensor& demand_scale_b);

// Errors in the window's scale, by LossConfig::mean_loss; there is no Tweedie's of what is held: squared
// then.
at::Tensor point_loss(const at::Tensor& error, const LossConfig& loss);

// Scalar: the point loss of `scaled_bh` = (y - loc) / scale against `target_bh` in units (NaN = not
// observed), each step times its window's `weight_b`.
at::Tensor observed_loss(const at::Tensor& scaled_bh, const at::Tensor& loc_b, const at::Tensor& scale_b,
                         const at::Tensor& target_bh, const at::Tensor& weight_b, const LossConfig& loss);

}  // namespace shelfcast::models
