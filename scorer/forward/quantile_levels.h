// Quantiles at other levels than those at hand, and of weighted samples: linear between points of the
// distribution function, constant beyond its first and last point. In float32, as published: interpolation
// between close levels shows it.
#pragma once

#include <span>
#include <utility>
#include <vector>

namespace shelfcast::scorer {

// The value at `wanted` of points (level, value) with ascending levels, at least one.
float interpolate(float wanted, std::span<const std::pair<float, float>> points);

// The probability mass each of ascending `levels` stands for: half of the distance between its neighbours, 0
// and 1 being those of the outer ones; they sum to 1.
std::vector<float> level_masses(const std::vector<double>& levels);

// Makes (level, value) points of (value, mass) samples, in place: sorted by value, a sample's level being the
// share of all masses that those up to and including its own have.
void to_distribution(std::span<std::pair<float, float>> samples);

}  // namespace shelfcast::scorer
