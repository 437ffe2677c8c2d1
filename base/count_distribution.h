// Counts with more variance than a Poisson's, and with more zeros: what a seller of few pieces sells.
#pragma once

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

}  // namespace shelfcast
