#include "eval/baselines/intermittent.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

#include "eval/baselines/brent.h"

namespace shelfcast::eval {
namespace {

constexpr double kAlpha = 0.1;                    // of sizes, intervals and probabilities
constexpr double kSlowest = 0.1, kFastest = 0.3;  // alpha of sums

// Exponential smoothing of values that come one by one.
class Smoother {
 public:
  void add(double value) { level_ = level_ ? kAlpha * value + (1.0 - kAlpha) * *level_ : value; }
  double level() const { return level_.value_or(0.0); }

 private:
  std::optional<double> level_;
};

// Steps from each demand to the one before it (or to the start), on average and to the next whole number,
// halves to the even one; 0 without demand.
std::int64_t mean_interval(std::span<const double> history) {
  double demands = 0.0, last = 0.0;
  for (std::size_t t = 0; t < history.size(); ++t) {
    if (!(history[t] > 0)) continue;
    demands += 1.0;
    last = static_cast<double>(t + 1);
  }
  return demands > 0 ? std::lrint(last / demands) : 0;
}

// What smoothing of sums over `level` steps forecasts for one step. Steps too many at the start are left out.
double forecast_of_sums(std::span<const double> history, std::int64_t level, std::vector<double>& sums) {
  const auto length = static_cast<std::size_t>(level);
  sums.clear();
  for (std::size_t t = history.size() % length; t < history.size(); t += length) {
    double sum = 0.0;
    for (const double value : history.subspan(t, length)) sum += value;
    sums.push_back(sum);
  }
  return smoothed(sums, best_alpha(sums, kSlowest, kFastest)) / static_cast<double>(level);
}

}  // namespace

double smoothed(std::span<const double> values, double alpha) {
  double level = values.front();
  for (const double value : values) level = alpha * value + (1.0 - alpha) * level;
  return level;
}

double best_alpha(std::span<const double> values, double low, double high) {
  const auto squared_error = [&](double alpha) {
    double level = values.front(), sum = 0.0;
    for (const double value : values) {
      sum += (value - level) * (value - level);
      level = alpha * value + (1.0 - alpha) * level;
    }
    return sum;
  };
  return minimise_bounded(squared_error, low, high);
}

double ses(std::span<const double> history) { return smoothed(history, best_alpha(history, 0.01, 0.99)); }

double croston(std::span<const double> history) {
  Smoother size, interval;
  double since = 1.0;
  for (const double value : history) {
    if (value > 0) {
      size.add(value);
      interval.add(since);
      since = 0.0;
    }
    since += 1.0;
  }
  return interval.level() > 0 ? size.level() / interval.level() : 0.0;
}

double sba(std::span<const double> history) { return (1.0 - kAlpha / 2.0) * croston(history); }

double tsb(std::span<const double> history) {
  Smoother size, probability;
  for (const double value : history) {
    probability.add(value > 0 ? 1.0 : 0.0);
    if (value > 0) size.add(value);
  }
  return size.level() * probability.level();
}

double adida(std::span<const double> history) {
  const std::int64_t level = mean_interval(history);
  std::vector<double> sums;
  return level > 0 ? forecast_of_sums(history, level, sums) : 0.0;
}

double imapa(std::span<const double> history) {
  const std::int64_t most = mean_interval(history);
  std::vector<double> sums;
  double total = 0.0;
  for (std::int64_t level = 1; level <= most; ++level) total += forecast_of_sums(history, level, sums);
  return most > 0 ? total / static_cast<double>(most) : 0.0;
}

}  // namespace shelfcast::eval
