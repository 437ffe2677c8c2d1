// The distribution of demand summed over a protection interval (lead time + review period).
//
// Quantiles of single days must not be added: that would take all days to be high together. Nor are days
// independent. Instead paths through the horizon are drawn whose days have the forecast's distributions and
// move together like the errors of past forecasts (a Gaussian copula), and each path is summed.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "scorer/orders/copula.h"
#include "scorer/orders/marginal.h"
#include "scorer/orders/recalibration.h"

namespace shelfcast::scorer {

// The largest probability whose quantile so many equally likely samples can tell; above it nothing is known
// but that the quantile is not below the largest sample.
constexpr double highest_level(std::size_t samples) { return 1.0 - 0.5 / static_cast<double>(samples); }

// Equally likely sums, in increasing order.
struct DemandDistribution {
  std::vector<float> samples;
  double mean = 0.0;

  // For p in [0, 1]: straight lines between the samples, sample k standing at (k + 1/2) / n; above
  // highest_level(n) the largest one. Units.
  double quantile(double p) const;
  // P(demand <= x) and P(demand < x).
  double cdf(double x) const;
  double cdf_below(double x) const;
  // Mean of max(0, demand - stock) and of max(0, stock - demand), units.
  double expected_shortage(double stock) const;
  double expected_surplus(double stock) const;
  // As randomised_pit for one day.
  double pit(double observed, double draw, DemandKind kind) const;
};

// One possible length of the protection interval.
struct IntervalShare {
  int days = 1;
  double probability = 1.0;
};

struct PathOptions {
  int paths = 1024;  // at most 65536
  std::uint64_t seed = 17;
  // Whole units each day: right for demand in whole units, and for no other (see DemandKind).
  enum class Rounding { none, units } rounding = Rounding::none;
};

inline constexpr int kOrderPaths = 1024;

// What orders are made with. The recalibration of a bundle is fitted to sums drawn this way.
inline PathOptions order_path_options(DemandKind kind) {
  return {
      .paths = kOrderPaths,
      .seed = 17,
      .rounding = kind == DemandKind::counts ? PathOptions::Rounding::units : PathOptions::Rounding::none};
}

// Draws the paths once and uses them for every series, so that series are compared under the same luck and a
// series costs a table look-up per path and day. On every day the paths' probabilities are exactly (k + 1/2)
// / paths in the copula's order: the mean of a sum is that of its days without sampling noise. Results are a
// pure function of the arguments. Const functions may be called from several threads.
class LeadTimeDemand {
 public:
  // `levels` of the forecast's quantiles; the correlation's size is the horizon. Throws Error(input) for
  // levels that make no distribution.
  LeadTimeDemand(std::vector<double> levels, const Correlation& correlation, PathOptions options = {},
                 Recalibration recalibration = {});

  int horizon() const { return horizon_; }

  // Demand of the first `days` days of a forecast `quantiles_hq` [horizon, levels], units/day. Throws
  // Error(input) when the interval is not within the horizon.
  DemandDistribution over(std::span<const float> quantiles_hq, int days) const;
  // The same for a lead time that varies: a mixture over its lengths, whose probabilities are scaled to 1.
  DemandDistribution over(std::span<const float> quantiles_hq, std::span<const IntervalShare> lengths) const;

 private:
  void draw_paths(const Correlation& correlation);
  void check_days(int days) const;
  DemandDistribution finish(std::vector<float> sums, int days) const;

  Grid grid_;
  int horizon_;
  PathOptions options_;
  Recalibration recalibration_;
  std::vector<std::uint16_t> rank_hp_;  // [horizon, paths]: the path's place among all on that day
};

}  // namespace shelfcast::scorer
