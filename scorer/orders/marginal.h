// The demand of one day as a continuous distribution, from its forecast quantiles.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace shelfcast::scorer {

// The levels of a forecast's quantiles: at least two, increasing, inside (0, 1). Throws Error(input)
// otherwise.
void check_levels(std::span<const double> levels);

// Straight lines between the quantiles; beyond the outermost ones exponential tails with the decay between
// the last two levels (the lower one mirrored); never below 0. Quantiles that cross are put in order first
// (Chernozhukov, Fernandez-Val and Galichon, "Quantile and probability curves without crossing", 2010).
class Marginal {
 public:
  // [levels] each. Throws Error(data) when a value is not finite.
  Marginal(std::span<const double> levels, std::span<const float> values);

  // For 0 < p < 1, units.
  double quantile(double p) const;
  // P(demand <= x): the right end where the curve is flat. 0 for x < 0.
  double cdf(double x) const;
  // P(demand < x): the left end where the curve is flat.
  double cdf_below(double x) const;

 private:
  friend class Grid;
  double inverse(double x, bool right) const;
  std::span<const double> levels_;
  std::vector<double> values_;        // not decreasing
  double lower_decay_, upper_decay_;  // units per e-fold of probability
};

// Probabilities (k + 1/2) / points, with what Marginal needs at them computed once for many marginals of
// equal levels.
class Grid {
 public:
  Grid(std::vector<double> levels, int points);

  int points() const { return points_; }
  const std::vector<double>& levels() const { return levels_; }
  // The quantiles of the marginal with these values at all points, [points].
  void quantiles(std::span<const float> values, std::span<float> out) const;

 private:
  std::vector<double> levels_;
  int points_;
  std::vector<std::size_t> first_point_;  // [levels]: first point above the level
  std::vector<float>
      weight_;  // [points]: tails: log of the probability ratio; between: share of the next level
};

// Where `observed` falls in its forecast distribution, in (0, 1). `draw` in (0, 1) chooses within a jump of
// the distribution (Smith, "Diagnostic checks of non-standard time series models", 1985), so that PITs are
// uniform when the forecast is right even for counts.
enum class DemandKind {
  continuous,  // jumps only where quantiles coincide
  counts,      // y stands for [y - 1/2, y + 1/2), 0 for everything below 1/2
};
double randomised_pit(const Marginal& marginal, double observed, double draw, DemandKind kind);

}  // namespace shelfcast::scorer
