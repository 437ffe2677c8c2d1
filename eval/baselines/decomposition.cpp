#include "eval/baselines/decomposition.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace shelfcast::eval {
namespace {

double mean(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// The average over one season around `t`; of an even season the two ends count half each.
double trend_at(std::span<const double> history, std::size_t t, std::size_t season) {
  const std::size_t half = season / 2;
  double sum = 0.0;
  for (std::size_t i = t - half; i <= t + half; ++i) sum += history[i];
  if (season % 2 == 0) sum -= 0.5 * (history[t - half] + history[t + half]);
  return sum / static_cast<double>(season);
}

}  // namespace

std::vector<double> seasonal_indices(std::span<const double> history, std::int64_t season, Season kind) {
  const auto period = static_cast<std::size_t>(season);
  std::vector<double> indices(period), counts(period);
  for (std::size_t t = period / 2; t + period / 2 < history.size(); ++t) {
    const double trend = trend_at(history, t, period);
    indices[t % period] += kind == Season::additive ? history[t] - trend : history[t] / trend;
    counts[t % period] += 1.0;
  }
  for (std::size_t i = 0; i < period; ++i) indices[i] /= counts[i];
  const double centre = mean(indices);
  for (double& index : indices) index = kind == Season::additive ? index - centre : index / centre;
  return indices;
}

bool is_seasonal(std::span<const double> history, std::int64_t season) {
  if (season < 4 || std::ssize(history) < 2 * season || is_constant(history)) return false;
  const double centre = mean(history);
  const auto covariance = [&](std::size_t lag) {
    double sum = 0.0;
    for (std::size_t t = lag; t < history.size(); ++t)
      sum += (history[t] - centre) * (history[t - lag] - centre);
    return sum;
  };
  const double variance = covariance(0);
  double squares = 0.0;
  for (std::size_t lag = 1; lag < static_cast<std::size_t>(season); ++lag)
    squares += std::pow(covariance(lag) / variance, 2);
  const double deviation = std::sqrt((1.0 + 2.0 * squares) / static_cast<double>(history.size()));
  constexpr double kNormal95 = 1.6448536269514722;
  return std::abs(covariance(static_cast<std::size_t>(season)) / variance) / deviation > kNormal95;
}

bool is_constant(std::span<const double> history) {
  return std::ranges::all_of(history, [&](double value) { return value == history.front(); });
}

bool is_positive(std::span<const double> history) {
  return std::ranges::all_of(history, [](double value) { return value > 0.0; });
}

}  // namespace shelfcast::eval
