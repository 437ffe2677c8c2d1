// A window's demand in its own scale, and series cut into patches (docs/model.md, steps 2 to 4).
#pragma once

#include <torch/types.h>

namespace shelfcast::models {

// Legend: b windows, x columns, t steps, n patches, p steps of a patch.

// A window's demand in its own scale.
struct Normalised {
  at::Tensor scaled_bt;    // 0 where not observed
  at::Tensor observed_bt;  // bool
  at::Tensor loc_b, scale_b;
};

// Instance norm over the observed steps; sums in double, so that a constant series has exactly no deviation.
// `unseen_scale_b`: the scale of windows where nothing is observed; 1 when undefined.
Normalised normalise(const at::Tensor& context_bt, double scale_floor, const at::Tensor& unseen_scale_b = {});

// [b, x, t] padded on the left with zeros to whole patches -> [b, patches, x * patch], column-major inside a
// patch; a patch begins every `stride` steps.
at::Tensor into_patches(const at::Tensor& columns_bxt, std::int64_t patch, std::int64_t stride);

// sinh in double, rounded to x's type. LibTorch's own for float is another in its vector code than in its
// scalar code: the same number would get other bits at another place of a tensor.
at::Tensor rounded_sinh(const at::Tensor& x);

struct DemandPatches {
  at::Tensor patches;      // [b*n, 2p]: values, then 1 where observed
  at::Tensor attended_bn;  // bool: any step of the patch observed
};
DemandPatches demand_patches(const Normalised& demand, std::int64_t patch, std::int64_t stride);

}  // namespace shelfcast::models
