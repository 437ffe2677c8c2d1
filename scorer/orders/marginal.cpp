#include "scorer/orders/marginal.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace shelfcast::scorer {
namespace {

constexpr double kSmallest = 1e-9;  // PITs stay this far from 0 and 1

std::vector<double> in_order(std::span<const float> values) {
  std::vector<double> ordered;
  for (const float value : values) {
    if (!std::isfinite(value))
      throw data_error("a forecast quantile is not a number", "", "check the forecast this comes from");
    ordered.push_back(std::max(0.0, static_cast<double>(value)));
  }
  std::sort(ordered.begin(), ordered.end());
  return ordered;
}

// The decay of a tail from the decays between the last levels and those before: exponential tails keep
// theirs, normal ones get shorter as they go out, heavy ones longer. Bounded, as neighbouring quantiles are
// noisy.
double next_decay(double last, double before) {
  return before > 0.0 ? last * std::clamp(last / before, 0.75, 1.2) : last;
}

}  // namespace

void check_levels(std::span<const double> levels) {
  const bool inside = !levels.empty() && levels.front() > 0.0 && levels.back() < 1.0;
  const bool increasing =
      std::adjacent_find(levels.begin(), levels.end(), std::greater_equal<>()) == levels.end();
  if (levels.size() < 2 || !inside || !increasing)
    throw input_error("these quantile levels make no distribution",
                      "they must be at least two, increasing, inside (0, 1)",
                      "train with quantile levels such as [0.1, 0.5, 0.9]");
}

Marginal::Marginal(std::span<const double> levels, std::span<const float> values)
    : levels_(levels), values_(in_order(values)) {
  SHELFCAST_ASSERT(levels.size() == values.size() && levels.size() >= 2);
  const std::size_t last = levels.size() - 1;
  // Units per e-fold of the probability below or above, between neighbouring levels.
  const auto lower = [&](std::size_t i) {
    return (values_[i + 1] - values_[i]) / std::log(levels[i + 1] / levels[i]);
  };
  const auto upper = [&](std::size_t i) {
    return (values_[i] - values_[i - 1]) / std::log((1.0 - levels[i - 1]) / (1.0 - levels[i]));
  };
  lower_decay_ = last < 2 ? lower(0) : next_decay(lower(0), lower(1));
  upper_decay_ = last < 2 ? upper(last) : next_decay(upper(last), upper(last - 1));
}

double Marginal::quantile(double p) const {
  SHELFCAST_ASSERT(p > 0.0 && p < 1.0);
  if (p <= levels_.front())
    return std::max(0.0, values_.front() - lower_decay_ * std::log(levels_.front() / p));
  if (p >= levels_.back())
    return values_.back() + upper_decay_ * std::log((1.0 - levels_.back()) / (1.0 - p));
  const auto above =
      static_cast<std::size_t>(std::upper_bound(levels_.begin(), levels_.end(), p) - levels_.begin());
  const double share = (p - levels_[above - 1]) / (levels_[above] - levels_[above - 1]);
  return values_[above - 1] + share * (values_[above] - values_[above - 1]);
}

double Marginal::inverse(double x, bool right) const {
  if (x < 0.0 || (x == 0.0 && !right)) return 0.0;
  const auto found = right ? std::upper_bound(values_.begin(), values_.end(), x)
                           : std::lower_bound(values_.begin(), values_.end(), x);
  const auto above = static_cast<std::size_t>(found - values_.begin());  // first value beyond x
  if (above == 0) {
    // Below the first quantile; where the tail is cut at 0, the mass at 0 is what lies under it.
    return lower_decay_ > 0.0 ? levels_.front() * std::exp((x - values_.front()) / lower_decay_) : 0.0;
  }
  if (above == values_.size()) {
    if (upper_decay_ > 0.0)
      return 1.0 - (1.0 - levels_.back()) * std::exp((values_.back() - x) / upper_decay_);
    return x > values_.back() || right ? 1.0 : levels_.back();
  }
  const double step = values_[above] - values_[above - 1];
  const double share = step > 0.0 ? (x - values_[above - 1]) / step : 1.0;
  return levels_[above - 1] + share * (levels_[above] - levels_[above - 1]);
}

double Marginal::cdf(double x) const { return inverse(x, true); }
double Marginal::cdf_below(double x) const { return inverse(x, false); }

Grid::Grid(std::vector<double> levels, int points) : levels_(std::move(levels)), points_(points) {
  check_levels(levels_);
  SHELFCAST_ASSERT(points >= 2);
  const auto probability = [&](int k) { return (k + 0.5) / points; };
  for (const double level : levels_) {
    int k = 0;
    while (k < points && probability(k) <= level) ++k;
    first_point_.push_back(static_cast<std::size_t>(k));
  }
  for (int k = 0; k < points; ++k) {
    const double p = probability(k);
    const auto above =
        static_cast<std::size_t>(std::lower_bound(levels_.begin(), levels_.end(), p) - levels_.begin());
    double weight = 0.0;
    if (above == 0)
      weight = std::log(levels_.front() / p);
    else if (above == levels_.size())
      weight = std::log((1.0 - levels_.back()) / (1.0 - p));
    else
      weight = (p - levels_[above - 1]) / (levels_[above] - levels_[above - 1]);
    weight_.push_back(static_cast<float>(weight));
  }
}

void Grid::quantiles(std::span<const float> values, std::span<float> out) const {
  SHELFCAST_ASSERT(out.size() == weight_.size() && values.size() == levels_.size());
  const Marginal marginal(levels_, values);
  const auto lowest = static_cast<float>(marginal.values_.front()),
             highest = static_cast<float>(marginal.values_.back());
  const auto lower = static_cast<float>(marginal.lower_decay_),
             upper = static_cast<float>(marginal.upper_decay_);
  for (std::size_t k = 0; k < first_point_.front(); ++k) out[k] = std::max(0.0F, lowest - lower * weight_[k]);
  for (std::size_t i = 1; i < levels_.size(); ++i) {
    const auto from = static_cast<float>(marginal.values_[i - 1]);
    const auto step = static_cast<float>(marginal.values_[i] - marginal.values_[i - 1]);
    for (std::size_t k = first_point_[i - 1]; k < first_point_[i]; ++k) out[k] = from + step * weight_[k];
  }
  for (std::size_t k = first_point_.back(); k < weight_.size(); ++k) out[k] = highest + upper * weight_[k];
}

double randomised_pit(const Marginal& marginal, double observed, double draw, DemandKind kind) {
  const double half = kind == DemandKind::counts ? 0.5 : 0.0;
  const bool lowest = observed - half <= 0.0 && kind == DemandKind::counts;
  const double low = lowest ? 0.0 : marginal.cdf_below(observed - half);
  const double high =
      kind == DemandKind::counts ? marginal.cdf_below(observed + half) : marginal.cdf(observed);
  return std::clamp(low + draw * (high - low), kSmallest, 1.0 - kSmallest);
}

}  // namespace shelfcast::scorer
