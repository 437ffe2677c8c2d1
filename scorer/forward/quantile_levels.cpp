#include "scorer/forward/quantile_levels.h"

#include <algorithm>

#include "base/error.h"

namespace shelfcast::scorer {

float interpolate(float wanted, std::span<const std::pair<float, float>> points) {
  SHELFCAST_ASSERT(!points.empty());
  const auto above = std::ranges::upper_bound(points, wanted, {}, &std::pair<float, float>::first);
  if (above == points.begin()) return points.front().second;
  if (above == points.end()) return points.back().second;
  const auto& [low, low_value] = *(above - 1);
  const auto& [high, high_value] = *above;
  const float share = (wanted - low) / (high - low);
  return low_value + share * (high_value - low_value);
}

std::vector<float> level_masses(const std::vector<double>& levels) {
  std::vector<float> bounds{0.0F}, masses;
  bounds.insert(bounds.end(), levels.begin(), levels.end());
  bounds.push_back(1.0F);
  float sum = 0.0F;
  for (std::size_t i = 1; i + 1 < bounds.size(); ++i) {
    masses.push_back((bounds[i + 1] - bounds[i - 1]) / 2.0F);
    sum += masses.back();
  }
  for (float& mass : masses) mass /= sum;
  return masses;
}

void to_distribution(std::span<std::pair<float, float>> samples) {
  std::ranges::sort(samples, {}, &std::pair<float, float>::first);
  double sum = 0.0, reached = 0.0;
  for (const auto& sample : samples) sum += sample.second;
  for (auto& [level, value] : samples) {
    const float sample = level, mass = value;
    reached += mass;
    level = std::min(1.0F, static_cast<float>(reached / sum));
    value = sample;
  }
}

}  // namespace shelfcast::scorer
