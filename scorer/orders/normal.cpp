#include "scorer/orders/normal.h"

#include <cmath>

#include "base/error.h"

namespace shelfcast::scorer {
namespace {

// For p in the lower tail, p <= 0.02425.
double tail_guess(double p) {
  const double q = std::sqrt(-2.0 * std::log(p));
  return (((((-7.784894002430293e-03 * q - 3.223964580411365e-01) * q - 2.400758277161838e+00) * q -
            2.549732539343734e+00) *
               q +
           4.374664141464968e+00) *
              q +
          2.938163982698783e+00) /
         ((((7.784695709041462e-03 * q + 3.224671290700398e-01) * q + 2.445134137142996e+00) * q +
           3.754408661907416e+00) *
              q +
          1.0);
}

double middle_guess(double p) {
  const double q = p - 0.5, r = q * q;
  return (((((-3.969683028665376e+01 * r + 2.209460984245205e+02) * r - 2.759285104469687e+02) * r +
            1.383577518672690e+02) *
               r -
           3.066479806614716e+01) *
              r +
          2.506628277459239e+00) *
         q /
         (((((-5.447609879822406e+01 * r + 1.615858368580409e+02) * r - 1.556989798598866e+02) * r +
            6.680131188771972e+01) *
               r -
           1.328068155288572e+01) *
              r +
          1.0);
}

}  // namespace

double normal_cdf(double z) { return 0.5 * std::erfc(-z * 0.70710678118654752440); }

double normal_quantile(double p) {
  SHELFCAST_ASSERT(p > 0.0 && p < 1.0);
  if (p > 0.5) return -normal_quantile(1.0 - p);
  const double z = p < 0.02425 ? tail_guess(p) : middle_guess(p);
  const double density = std::exp(-0.5 * z * z) * 0.39894228040143267794;
  const double step = (normal_cdf(z) - p) / density;
  return z - step / (1.0 + 0.5 * z * step);
}

}  // namespace shelfcast::scorer
