// Counts with more variance than a Poisson's, and with more zeros: what a seller of few pieces sells.
#pragma once

#include <cmath>
#include <span>

namespace shelfcast {

// Negative binomial with the given mean and variance mean + dispersion * mean^2, mixed with a share of zeros
// beside its own.
struct CountDistribution {
  double mean = 0.0;        // of the negative binomial part, >= 0
  double dispersion = 0.0;  // >= 0; 0 is a Poisson
  double zeros = 0.0;       // share of further zeros, in [0, 1)

  // Smallest counts whose cumulated probability reaches each of the `levels`, which ascend in (0, 1). Above a
  // mean of 10,000 they are computed in coarser units, at most a ten-thousandth of the mean, and need not be
  // whole. All 0 unless the mean is a positive number.
  void quantiles(std::span<const double> levels, std::span<double> out) const;
};

// What a head of counts begins with and keeps to (docs/model.md, steps 11 and 12): a dispersion of 0.5 before
// its softplus, one further zero in ten before its sigmoid, the least dispersion, and the mean, in units of
// the window's scale, below which means bend instead of reaching zero.
inline const float kFirstDispersion = std::log(std::expm1(0.5F));
inline const float kFirstZeros = std::log(0.1F / 0.9F);
inline constexpr double kLeastDispersion = 1e-6;
inline constexpr double kBentMean = 0.1;

}  // namespace shelfcast
