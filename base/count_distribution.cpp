#include "base/count_distribution.h"

#include <algorithm>
#include <cmath>

#include "base/log_gamma.h"

namespace shelfcast {

namespace {

constexpr double kMostCounts = 1e4;          // mean above which counts are taken in coarser units
constexpr double kPoissonDispersion = 1e-8;  // below it a negative binomial is a Poisson to rounding
constexpr double kNothingBelow = 12.0;       // standard deviations under the mean that hold nothing
constexpr double kMostAbove = 60.0;          // ... over it; a level that is not reached there stops there

// log P(k) of a negative binomial of size r = 1 / dispersion.
double log_probability(double k, double mean, double r) {
  return log_gamma(k + r) - log_gamma(r) - log_gamma(k + 1.0) + r * std::log(r / (r + mean)) +
         k * std::log(mean / (r + mean));
}

}  // namespace

void CountDistribution::quantiles(std::span<const double> levels, std::span<double> out) const {
  std::fill(out.begin(), out.end(), 0.0);
  if (!(mean > 0.0) || !std::isfinite(mean)) return;
  // In units of u the variance is (mean + dispersion * mean^2) / u^2, no less than a Poisson's if u <= 1 +
  // dispersion * mean.
  const double unit = std::clamp(mean / kMostCounts, 1.0, 1.0 + dispersion * mean), m = mean / unit;
  const double spread = std::max(kPoissonDispersion, dispersion - (unit - 1.0) / mean), r = 1.0 / spread;
  const double deviation = std::sqrt(m + spread * m * m);
  double k = std::floor(std::max(0.0, m - kNothingBelow * deviation));
  const double end = m + kMostAbove * deviation + 1.0, ratio = m / (r + m);
  double probability = std::exp(log_probability(k, m, r)), cumulated = probability;
  for (std::size_t i = 0; i < levels.size(); ++i) {
    // Share that the negative binomial part must reach.
    const double share = (levels[i] - zeros) / (1.0 - zeros);
    while (cumulated < share && k < end) {
      probability *= ratio * (k + r) / (k + 1.0);
      cumulated += probability;
      k += 1.0;
    }
    out[i] = share > 0.0 ? k * unit : 0.0;
  }
}

}  // namespace shelfcast
