// A series' own location and scale (docs/model.md, step 2).
#pragma once

#include <cmath>
#include <span>

namespace shelfcast::scorer {

struct Norm {
  float loc = 0.0F, scale = 1.0F;
};

// Mean and population deviation of what is observed (not NaN) among `steps`, in double. Nothing observed: 0
// and `unseen_scale`. With a floor the scale is at least it; without one a constant series gets 1e-5.
Norm instance_norm(std::span<const float> context, double scale_floor, float unseen_scale);

// sinh in double, rounded (docs/model.md, "Chronos-2 as a tower").
inline float rounded_sinh(float x) { return static_cast<float>(std::sinh(static_cast<double>(x))); }

}  // namespace shelfcast::scorer
