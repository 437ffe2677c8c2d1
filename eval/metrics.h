// Error measures as sums in double that can be added up in any grouping, and the scores read off them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace shelfcast::eval {

// One number of a report. `value` is empty when there is nothing to say (n = 0, or a zero divisor).
struct Score {
  std::string metric;
  std::optional<double> value;
  std::int64_t n =
      0;  // judged targets behind the number (for MASE those with a scale; for window means the windows)
};

// What happened on one judged step: an observed target and what was forecast for it.
struct Judged {
  double target = 0.0;
  double median = 0.0;  // judged by MAE, WAPE, sMAPE, MASE
  double mean = 0.0;    // judged by MSE, RMSE, bias, RMSSE
  double scale = 0.0;   // in-sample seasonal error of the series at this origin; 0 or NaN = none
  std::span<const double> quantiles;  // one per level, ascending; empty for a point forecast
  double squared_scale = 0.0;         // the mean of squares that `scale` is the mean of absolute values of
};

// How the sums of one forecaster lie in a flat array of doubles, so that partial sums of batches, ranks and
// series are merged by plain addition. Formulae: docs/evaluation.md.
class ErrorLayout {
 public:
  // A central interval between two levels that add up to one.
  struct Interval {
    std::size_t low, high;  // indices of levels
    double nominal;         // the share it should hold
  };

  // `levels` ascending in (0, 1); empty for point forecasts.
  explicit ErrorLayout(std::vector<double> levels = {});

  std::size_t width() const;
  const std::vector<double>& levels() const { return levels_; }
  const std::vector<Interval>& intervals() const { return intervals_; }

  void add(const Judged& step, std::span<double> sums) const;

  // All scores of `sums`, always the same names in the same order: mae, mse, rmse, bias, wape, smape, mase,
  // rmsse, and with levels pinball, wql, sql, crps, pinball@L, below@L, coverage@C, width@C.
  std::vector<Score> scores(std::span<const double> sums) const;
  // The same of several windows (origins) averaged with equal weight, as some published tables do:
  // mase_window_mean, wape_window_mean (divisor at least 1) and with levels wql_window_mean, sql_window_mean.
  // n counts windows.
  std::vector<Score> window_means(std::span<const std::vector<double>> windows) const;

  // Single sums, for the bootstrap and for plots.
  static double count(std::span<const double> sums);
  static double absolute_error(std::span<const double> sums);
  static double squared_error(std::span<const double> sums);
  static double absolute_target(std::span<const double> sums);
  static double signed_error(std::span<const double> sums);
  static double median_signed_error(std::span<const double> sums);
  // Of the layout's levels: twice the mean pinball loss, the numerator of WQL.
  double quantile_loss(std::span<const double> sums) const { return 2.0 * total_pinball(sums); }

 private:
  enum Field : std::size_t {
    kCount,
    kAbsolute,
    kSquared,
    kSigned,
    kMedianSigned,
    kAbsoluteTarget,
    kSymmetric,
    kScaledCount,
    kScaledAbsolute,
    kScaledSquared,
    kScaledPinball,
    kFields
  };
  std::size_t pinball_at(std::size_t level) const { return kFields + level; }
  std::size_t below_at(std::size_t level) const { return kFields + levels_.size() + level; }
  std::size_t inside_at(std::size_t interval) const { return kFields + 2 * levels_.size() + interval; }
  std::size_t width_at(std::size_t interval) const { return inside_at(intervals_.size() + interval); }
  void add_quantiles(const Judged& step, bool scaled, std::span<double> sums) const;
  void append_quantile_scores(std::span<const double> sums, std::vector<Score>& scores) const;
  double total_pinball(std::span<const double> sums) const;
  double total_crps(std::span<const double> sums) const;

  std::vector<double> levels_;
  std::vector<Interval> intervals_;
};

// The pinball loss of quantile `level`: max(level * (y - q), (level - 1) * (y - q)).
double pinball(double target, double quantile, double level);

// Twice the mean pinball loss over `levels` of a point forecast (the median), which stands for each of its
// quantiles: from its |error| and error (forecast - target), or sums of these. Without levels, and with
// levels that lie evenly around 0.5, it is the absolute error.
double point_quantile_loss(double absolute, double error, std::span<const double> levels);

}  // namespace shelfcast::eval
