#include "eval/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace shelfcast::eval {
namespace {

Score ratio(std::string metric, double numerator, double denominator, double count) {
  Score score{std::move(metric), std::nullopt, static_cast<std::int64_t>(count)};
  if (count > 0 && denominator > 0) score.value = numerator / denominator;
  return score;
}

Score root(Score score) {
  if (score.value) score.value = std::sqrt(*score.value);
  return score;
}

// Equal-weight mean of the windows that have a value.
class WindowMean {
 public:
  explicit WindowMean(std::string metric) : metric_(std::move(metric)) {}
  void add(double value) {
    sum_ += value;
    ++n_;
  }
  Score score() const { return ratio(metric_, sum_, n_, n_); }

 private:
  std::string metric_;
  double sum_ = 0.0, n_ = 0.0;
};

}  // namespace

double pinball(double target, double quantile, double level) {
  const double error = target - quantile;
  return std::max(level * error, (level - 1.0) * error);
}

double point_quantile_loss(double absolute, double error, std::span<const double> levels) {
  double excess = 0.0;  // of one half over the mean level
  for (const double level : levels) excess += 0.5 - level;
  return levels.empty() ? absolute : absolute + 2.0 * excess / static_cast<double>(levels.size()) * error;
}

ErrorLayout::ErrorLayout(std::vector<double> levels) : levels_(std::move(levels)) {
  SHELFCAST_ASSERT(std::is_sorted(levels_.begin(), levels_.end()));
  for (std::size_t low = 0; low < levels_.size() && levels_[low] < 0.5; ++low) {
    for (std::size_t high = low + 1; high < levels_.size(); ++high) {
      if (std::abs(levels_[low] + levels_[high] - 1.0) < 1e-9)
        intervals_.push_back({low, high, levels_[high] - levels_[low]});
    }
  }
}

std::size_t ErrorLayout::width() const { return kFields + 2 * (levels_.size() + intervals_.size()); }

void ErrorLayout::add(const Judged& step, std::span<double> sums) const {
  const double absolute = std::abs(step.median - step.target);
  const double error = step.mean - step.target;
  const bool scaled = step.scale > 0;  // false for NaN
  SHELFCAST_ASSERT(!scaled || step.squared_scale > 0);
  sums[kCount] += 1.0;
  sums[kAbsolute] += absolute;
  sums[kSquared] += error * error;
  sums[kSigned] += error;
  sums[kMedianSigned] += step.median - step.target;
  sums[kAbsoluteTarget] += std::abs(step.target);
  if (absolute > 0.0) sums[kSymmetric] += 2.0 * absolute / (std::abs(step.median) + std::abs(step.target));
  if (scaled) {
    sums[kScaledCount] += 1.0;
    sums[kScaledAbsolute] += absolute / step.scale;
    sums[kScaledSquared] += error * error / step.squared_scale;
  }
  if (!levels_.empty()) add_quantiles(step, scaled, sums);
}

void ErrorLayout::add_quantiles(const Judged& step, bool scaled, std::span<double> sums) const {
  double total = 0.0;
  for (std::size_t level = 0; level < levels_.size(); ++level) {
    const double loss = pinball(step.target, step.quantiles[level], levels_[level]);
    sums[pinball_at(level)] += loss;
    sums[below_at(level)] += step.target <= step.quantiles[level] ? 1.0 : 0.0;
    total += loss;
  }
  for (std::size_t i = 0; i < intervals_.size(); ++i) {
    const bool inside =
        step.target >= step.quantiles[intervals_[i].low] && step.target <= step.quantiles[intervals_[i].high];
    sums[inside_at(i)] += inside ? 1.0 : 0.0;
    sums[width_at(i)] += step.quantiles[intervals_[i].high] - step.quantiles[intervals_[i].low];
  }
  if (scaled) sums[kScaledPinball] += 2.0 * total / (static_cast<double>(levels_.size()) * step.scale);
}

double ErrorLayout::total_pinball(std::span<const double> sums) const {
  double total = 0.0;
  for (std::size_t level = 0; level < levels_.size(); ++level) total += sums[pinball_at(level)];
  return total / static_cast<double>(levels_.size());
}

// Twice the integral of the pinball loss over the levels from 0 to 1, each level standing for what lies
// nearer to it than to its neighbours.
double ErrorLayout::total_crps(std::span<const double> sums) const {
  double total = 0.0, from = 0.0;
  for (std::size_t i = 0; i < levels_.size(); ++i) {
    const double to = i + 1 < levels_.size() ? 0.5 * (levels_[i] + levels_[i + 1]) : 1.0;
    total += 2.0 * (to - from) * sums[pinball_at(i)];
    from = to;
  }
  return total;
}

std::vector<Score> ErrorLayout::scores(std::span<const double> sums) const {
  const double n = sums[kCount];
  std::vector<Score> scores;
  scores.push_back(ratio("mae", sums[kAbsolute], n, n));
  scores.push_back(ratio("mse", sums[kSquared], n, n));
  scores.push_back(root(ratio("rmse", sums[kSquared], n, n)));
  scores.push_back(ratio("bias", sums[kSigned], n, n));
  scores.push_back(ratio("wape", sums[kAbsolute], sums[kAbsoluteTarget], n));
  scores.push_back(ratio("smape", sums[kSymmetric], n, n));
  scores.push_back(ratio("mase", sums[kScaledAbsolute], sums[kScaledCount], sums[kScaledCount]));
  scores.push_back(root(ratio("rmsse", sums[kScaledSquared], sums[kScaledCount], sums[kScaledCount])));
  if (!levels_.empty()) append_quantile_scores(sums, scores);
  return scores;
}

void ErrorLayout::append_quantile_scores(std::span<const double> sums, std::vector<Score>& scores) const {
  const double n = sums[kCount];
  const double mean = total_pinball(sums);
  scores.push_back(ratio("pinball", mean, n, n));
  scores.push_back(ratio("wql", 2.0 * mean, sums[kAbsoluteTarget], n));
  scores.push_back(ratio("sql", sums[kScaledPinball], sums[kScaledCount], sums[kScaledCount]));
  scores.push_back(ratio("crps", total_crps(sums), n, n));
  for (std::size_t level = 0; level < levels_.size(); ++level)
    scores.push_back(ratio(fmt::format("pinball@{:g}", levels_[level]), sums[pinball_at(level)], n, n));
  for (std::size_t level = 0; level < levels_.size(); ++level)
    scores.push_back(ratio(fmt::format("below@{:g}", levels_[level]), sums[below_at(level)], n, n));
  for (std::size_t i = 0; i < intervals_.size(); ++i)
    scores.push_back(ratio(fmt::format("coverage@{:g}", intervals_[i].nominal), sums[inside_at(i)], n, n));
  for (std::size_t i = 0; i < intervals_.size(); ++i)
    scores.push_back(ratio(fmt::format("width@{:g}", intervals_[i].nominal), sums[width_at(i)], n, n));
}

std::vector<Score> ErrorLayout::window_means(std::span<const std::vector<double>> windows) const {
  WindowMean mase("mase_window_mean"), wape("wape_window_mean"), wql("wql_window_mean"),
      sql("sql_window_mean");
  for (const std::vector<double>& sums : windows) {
    const double n = sums[kCount];
    if (n == 0) continue;
    // The published definition of WAPE guards its divisor with 1 unit of demand.
    wape.add(sums[kAbsolute] / n / std::max(sums[kAbsoluteTarget] / n, 1.0));
    if (sums[kScaledCount] > 0) mase.add(sums[kScaledAbsolute] / sums[kScaledCount]);
    if (levels_.empty()) continue;
    if (sums[kAbsoluteTarget] > 0) wql.add(2.0 * total_pinball(sums) / sums[kAbsoluteTarget]);
    if (sums[kScaledCount] > 0) sql.add(sums[kScaledPinball] / sums[kScaledCount]);
  }
  std::vector<Score> scores{mase.score(), wape.score()};
  if (!levels_.empty()) scores.insert(scores.end(), {wql.score(), sql.score()});
  return scores;
}

double ErrorLayout::count(std::span<const double> sums) { return sums[kCount]; }
double ErrorLayout::absolute_error(std::span<const double> sums) { return sums[kAbsolute]; }
double ErrorLayout::squared_error(std::span<const double> sums) { return sums[kSquared]; }
double ErrorLayout::absolute_target(std::span<const double> sums) { return sums[kAbsoluteTarget]; }
double ErrorLayout::median_signed_error(std::span<const double> sums) { return sums[kMedianSigned]; }
double ErrorLayout::signed_error(std::span<const double> sums) { return sums[kSigned]; }

}  // namespace shelfcast::eval
