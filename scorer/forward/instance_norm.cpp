#include "scorer/forward/instance_norm.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace shelfcast::scorer {

Norm instance_norm(std::span<const float> context, double scale_floor, float unseen_scale) {
  double sum = 0.0, squares = 0.0;
  std::int64_t observed = 0;
  for (const float x : context)
    if (!std::isnan(x)) sum += x, ++observed;
  if (observed == 0) return {0.0F, std::max(unseen_scale, static_cast<float>(scale_floor))};
  const double loc = sum / static_cast<double>(observed);
  for (const float x : context)
    if (!std::isnan(x)) squares += (x - loc) * (x - loc);
  const auto scale = static_cast<float>(std::sqrt(squares / static_cast<double>(observed)));
  if (scale_floor > 0.0) return {static_cast<float>(loc), std::max(scale, static_cast<float>(scale_floor))};
  return {static_cast<float>(loc), scale == 0.0F ? 1e-5F : scale};
}

}  // namespace shelfcast::scorer
