#include "eval/demand_level.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace shelfcast::eval {
namespace {

double quantile(std::vector<float>& values, double share) {
  const double position = share * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::ptrdiff_t>(position);
  const auto at = values.begin() + below;
  std::nth_element(values.begin(), at, values.end());
  const double lower = *at, rest = position - static_cast<double>(below);
  return rest == 0.0 ? lower : lower + rest * (*std::min_element(at + 1, values.end()) - lower);
}

}  // namespace

const std::vector<std::string>& demand_levels() {
  static const std::vector<std::string> levels = {"low", "normal", "high"};
  return levels;
}

bool LevelThresholds::known() const { return !std::isnan(low); }

std::size_t LevelThresholds::level_of(double demand) const {
  if (demand > high) return 2;
  return demand > low ? 1 : 0;
}

LevelThresholds fit_levels(std::span<const float> demand, std::array<double, 2> shares) {
  std::vector<float> observed;
  std::ranges::copy_if(demand, std::back_inserter(observed), [](float value) { return !std::isnan(value); });
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  if (observed.empty()) return {kNone, kNone};
  return {quantile(observed, shares[0]), quantile(observed, shares[1])};
}

}  // namespace shelfcast::eval
