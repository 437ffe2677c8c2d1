#include "eval/baselines/simple.h"

#include <algorithm>
#include <cmath>

namespace shelfcast::eval {
namespace {

double last_observed(std::span<const float> observed) {
  std::size_t t = observed.size();
  while (std::isnan(observed[t - 1])) --t;  // the first one is observed
  return observed[t - 1];
}

}  // namespace

void naive(const History& history, std::span<double> steps) {
  std::ranges::fill(steps, last_observed(history.observed));
}

MadeBy seasonal_naive(std::span<const double> history, std::int64_t season, std::span<double> steps) {
  for (std::int64_t h = 0; h < std::ssize(steps); ++h) {
    const std::int64_t source = std::ssize(history) - season + h % season;
    steps[static_cast<std::size_t>(h)] =
        source >= 0 ? history[static_cast<std::size_t>(source)] : history.back();
  }
  return std::ssize(history) < season ? MadeBy::simpler : MadeBy::method;
}

MadeBy drift(std::span<const double> history, std::span<double> steps) {
  const double slope =
      history.size() > 1 ? (history.back() - history.front()) / static_cast<double>(history.size() - 1) : 0.0;
  for (std::size_t h = 0; h < steps.size(); ++h)
    steps[h] = history.back() + slope * static_cast<double>(h + 1);
  return history.size() > 1 ? MadeBy::method : MadeBy::simpler;
}

MadeBy moving_average(const History& history, std::int64_t window, std::span<double> steps) {
  const auto length = std::min(static_cast<std::size_t>(window), history.observed.size());
  double sum = 0.0, count = 0.0;
  for (const float value : history.observed.last(length)) {
    if (std::isnan(value)) continue;
    sum += value;
    count += 1.0;
  }
  std::ranges::fill(steps, count > 0 ? sum / count : last_observed(history.observed));
  return count > 0 ? MadeBy::method : MadeBy::simpler;
}

}  // namespace shelfcast::eval
