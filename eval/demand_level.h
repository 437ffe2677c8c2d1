// How much a day's demand is for its series: low, normal or high, by thresholds fitted to the series' past.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace shelfcast::eval {

inline constexpr std::size_t kDemandLevels = 3;
// "low", "normal", "high".
const std::vector<std::string>& demand_levels();

struct LevelThresholds {
  double low = 0.0, high = 0.0;  // NaN: nothing was observed, nothing can be said
  bool known() const;
  // Low: at most `low`; high: above `high`; an index into demand_levels().
  std::size_t level_of(double demand) const;
};

// Quantiles at `shares` (two, ascending) of what was observed (not NaN), linear between order statistics
// (type 7 of Hyndman and Fan, 1996; NumPy's default).
LevelThresholds fit_levels(std::span<const float> demand, std::array<double, 2> shares);

}  // namespace shelfcast::eval
