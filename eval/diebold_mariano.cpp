#include "eval/diebold_mariano.h"

#include <cmath>
#include <limits>

#include "base/log_gamma.h"

namespace shelfcast::eval {
namespace {

// Continued fraction of the incomplete beta function by Lentz's method (DLMF 8.17.22).
double beta_fraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300;
  constexpr int kMost = 500;
  const auto away_from_zero = [](double v) { return std::abs(v) < kTiny ? kTiny : v; };
  double c = 1.0, d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0)), fraction = d;
  for (int m = 1; m <= kMost; ++m) {
    double change = 1.0;
    for (const double term : {m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
                              -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))}) {
      d = 1.0 / away_from_zero(1.0 + term * d);
      c = away_from_zero(1.0 + term / c);
      change = c * d;
      fraction *= change;
    }
    if (std::abs(change - 1.0) < std::numeric_limits<double>::epsilon()) break;
  }
  return fraction;
}

// The regularised incomplete beta function.
double incomplete_beta(double a, double b, double x) {
  if (x <= 0.0 || x >= 1.0) return x <= 0.0 ? 0.0 : 1.0;
  const double front =
      std::exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * std::log(x) + b * std::log1p(-x));
  return x < (a + 1.0) / (a + b + 2.0) ? front * beta_fraction(a, b, x) / a
                                       : 1.0 - front * beta_fraction(b, a, 1.0 - x) / b;
}

// n times the variance of the mean of `values`.
double long_run_variance(std::span<const double> values, double mean, std::int64_t lags) {
  const std::int64_t n = std::ssize(values);
  double variance = 0.0;
  for (std::int64_t lag = 0; lag <= lags; ++lag) {
    double covariance = 0.0;
    for (std::int64_t t = lag; t < n; ++t)
      covariance +=
          (values[static_cast<std::size_t>(t)] - mean) * (values[static_cast<std::size_t>(t - lag)] - mean);
    const double weight = 1.0 - static_cast<double>(lag) / static_cast<double>(lags + 1);
    variance += (lag == 0 ? 1.0 : 2.0 * weight) * covariance / static_cast<double>(n);
  }
  return variance;
}

}  // namespace

double student_two_sided(double t, double freedom) {
  return incomplete_beta(0.5 * freedom, 0.5, freedom / (freedom + t * t));
}

std::optional<DieboldMariano> diebold_mariano(std::span<const double> differences, std::int64_t horizon) {
  const std::int64_t dates = std::ssize(differences), horizons = dates / horizon;
  if (horizons < 2) return std::nullopt;
  double sum = 0.0;
  for (const double difference : differences) sum += difference;
  const auto n = static_cast<double>(dates), h = static_cast<double>(horizon);
  const double mean = sum / n, variance = long_run_variance(differences, mean, horizon - 1);
  if (!(variance > 0.0)) return std::nullopt;
  // (n + 1 - 2h + h (h - 1) / n) / n, written so that it is plainly positive.
  const double correction = (n - h) * (n - h + 1.0) / (n * n);
  const double statistic = mean / std::sqrt(variance / n) * std::sqrt(correction);
  return DieboldMariano{statistic, student_two_sided(statistic, static_cast<double>(horizons - 1)), dates};
}

}  // namespace shelfcast::eval
