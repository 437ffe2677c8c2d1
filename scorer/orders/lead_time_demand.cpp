#include "scorer/orders/lead_time_demand.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/random.h"

namespace shelfcast::scorer {
namespace {

double mean_of(const std::vector<float>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// How many of `total` samples each share gets: the largest remainders round up.
std::vector<int> apportion(std::span<const IntervalShare> lengths, int total) {
  double whole = 0.0;
  for (const IntervalShare& length : lengths) whole += length.probability;
  std::vector<int> counts;
  std::vector<std::pair<double, std::size_t>> remainders;
  int given = 0;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    const double exact = lengths[i].probability / whole * total;
    counts.push_back(static_cast<int>(exact));
    given += counts.back();
    remainders.emplace_back(counts.back() - exact, i);
  }
  std::sort(remainders.begin(), remainders.end());
  for (std::size_t i = 0; given < total; ++i, ++given) ++counts[remainders[i].second];
  return counts;
}

}  // namespace

double DemandDistribution::quantile(double p) const {
  SHELFCAST_ASSERT(!samples.empty());
  const double last = static_cast<double>(samples.size()) - 1.0;
  const double position = std::clamp(p * static_cast<double>(samples.size()) - 0.5, 0.0, last);
  const auto below = static_cast<std::size_t>(position);
  const auto above = std::min(below + 1, samples.size() - 1);
  return samples[below] + (position - std::floor(position)) * (samples[above] - samples[below]);
}

double DemandDistribution::cdf(double x) const {
  const auto found = std::upper_bound(samples.begin(), samples.end(), x);
  return static_cast<double>(found - samples.begin()) / static_cast<double>(samples.size());
}

double DemandDistribution::cdf_below(double x) const {
  const auto found = std::lower_bound(samples.begin(), samples.end(), x);
  return static_cast<double>(found - samples.begin()) / static_cast<double>(samples.size());
}

double DemandDistribution::expected_shortage(double stock) const {
  double sum = 0.0;
  for (const float sample : samples) sum += std::max(0.0, sample - stock);
  return sum / static_cast<double>(samples.size());
}

double DemandDistribution::expected_surplus(double stock) const {
  return stock - mean_of(samples) + expected_shortage(stock);
}

double DemandDistribution::pit(double observed, double draw, DemandKind kind) const {
  const bool counts = kind == DemandKind::counts;
  const double low = counts ? (observed < 0.5 ? 0.0 : cdf_below(observed - 0.5)) : cdf_below(observed);
  const double high = counts ? cdf_below(observed + 0.5) : cdf(observed);
  // A sum beyond all samples is still possible: half a sample's probability is left on either side.
  const double edge = 0.5 / static_cast<double>(samples.size());
  return std::clamp(low + draw * (high - low), edge * draw, 1.0 - edge * (1.0 - draw));
}

LeadTimeDemand::LeadTimeDemand(std::vector<double> levels, const Correlation& correlation,
                               PathOptions options, Recalibration recalibration)
    : grid_(std::move(levels), options.paths),
      horizon_(correlation.size),
      options_(options),
      recalibration_(std::move(recalibration)) {
  SHELFCAST_ASSERT(options.paths <= 65536 && horizon_ >= 1);
  draw_paths(correlation);
}

void LeadTimeDemand::draw_paths(const Correlation& correlation) {
  const auto days = static_cast<std::size_t>(horizon_), paths = static_cast<std::size_t>(options_.paths);
  std::vector<double> factor = cholesky(correlation);
  if (factor.empty()) factor = cholesky(positive_definite(correlation));
  std::vector<float> score_hp(days * paths);
  const std::uint64_t key = mix(options_.seed, key_of("demand paths"));
  std::vector<double> noise(days);
  for (std::size_t path = 0; path < paths; ++path) {
    RandomStream draw(mix(key, path));
    for (double& value : noise) value = draw.normal();
    for (std::size_t day = 0; day < days; ++day) {
      double score = 0.0;
      for (std::size_t k = 0; k <= day; ++k) score += factor[day * days + k] * noise[k];
      score_hp[day * paths + path] = static_cast<float>(score);
    }
  }
  rank_hp_.resize(days * paths);
  std::vector<std::uint32_t> order(paths);
  for (std::size_t day = 0; day < days; ++day) {
    const float* score = score_hp.data() + day * paths;
    std::iota(order.begin(), order.end(), 0U);
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      return score[a] != score[b] ? score[a] < score[b] : a < b;
    });
    for (std::size_t rank = 0; rank < paths; ++rank)
      rank_hp_[day * paths + order[rank]] = static_cast<std::uint16_t>(rank);
  }
}

void LeadTimeDemand::check_days(int days) const {
  if (days >= 1 && days <= horizon_) return;
  throw input_error(
      fmt::format("a protection interval of {} steps is not within the forecast of {} steps", days, horizon_),
      "", "shorten lead time or review period, or use a model with a longer horizon");
}

DemandDistribution LeadTimeDemand::finish(std::vector<float> sums, int days) const {
  std::sort(sums.begin(), sums.end());
  DemandDistribution demand{std::move(sums), 0.0};
  if (!recalibration_.maps().empty()) {
    std::vector<float> calibrated(demand.samples.size());
    for (std::size_t k = 0; k < calibrated.size(); ++k) {
      const double p = (static_cast<double>(k) + 0.5) / static_cast<double>(calibrated.size());
      calibrated[k] = static_cast<float>(demand.quantile(recalibration_.level(p, days)));
    }
    demand.samples = std::move(calibrated);
  }
  demand.mean = mean_of(demand.samples);
  return demand;
}

DemandDistribution LeadTimeDemand::over(std::span<const float> quantiles_hq, int days) const {
  const IntervalShare whole{days, 1.0};
  return over(quantiles_hq, std::span(&whole, 1));
}

DemandDistribution LeadTimeDemand::over(std::span<const float> quantiles_hq,
                                        std::span<const IntervalShare> lengths) const {
  SHELFCAST_ASSERT(!lengths.empty() &&
                   quantiles_hq.size() == grid_.levels().size() * static_cast<std::size_t>(horizon_));
  int longest = 0;
  for (const IntervalShare& length : lengths) {
    check_days(length.days);
    longest = std::max(longest, length.days);
  }
  const std::vector<int> counts = apportion(lengths, options_.paths);
  const auto paths = static_cast<std::size_t>(options_.paths), levels = grid_.levels().size();
  std::vector<float> sums(paths, 0.0F), quantiles(paths), mixture;
  for (int day = 0; day < longest; ++day) {
    grid_.quantiles(quantiles_hq.subspan(static_cast<std::size_t>(day) * levels, levels), quantiles);
    if (options_.rounding == PathOptions::Rounding::units)
      for (float& value : quantiles) value = std::round(value);
    const std::uint16_t* rank = rank_hp_.data() + static_cast<std::size_t>(day) * paths;
    for (std::size_t path = 0; path < paths; ++path) sums[path] += quantiles[rank[path]];
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      if (lengths[i].days != day + 1) continue;
      DemandDistribution demand = finish(sums, lengths[i].days);
      if (lengths.size() == 1) return demand;
      for (int k = 0; k < counts[i]; ++k)
        mixture.push_back(static_cast<float>(demand.quantile((k + 0.5) / counts[i])));
    }
  }
  std::sort(mixture.begin(), mixture.end());
  const double mean = mean_of(mixture);
  return {std::move(mixture), mean};
}

}  // namespace shelfcast::scorer
