// Is a difference more than chance? A paired bootstrap over series.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace shelfcast::eval {

enum class Verdict { better, worse, unclear };
// "better", "worse", "unclear".
const char* to_string(Verdict verdict);

// The model's error relative to a baseline's, (model - baseline) / baseline: negative is better. The interval
// holds 95 % of the resamples; the verdict is better or worse only when it excludes 0. Empty numbers: fewer
// than two series were judged, no resamples were asked for, or the baseline made no error.
struct Comparison {
  std::string model, baseline, metric;
  std::optional<double> difference, low, high;
  Verdict verdict = Verdict::unclear;
  std::int64_t series = 0;  // judged series: what was resampled
};

// Totals of `columns` error sums over `resamples` draws of the series with replacement: [resample, column].
// `sums` is [series, column]. All columns share each draw (paired). Draw r depends on (seed, r) alone.
std::vector<double> resampled_totals(std::span<const double> sums, std::size_t columns,
                                     std::int64_t resamples, std::uint64_t seed);

// Compares two columns of the totals; fills everything but the names.
Comparison compare(std::span<const double> sums, std::span<const double> totals, std::size_t columns,
                   std::size_t model, std::size_t baseline);

// The `share` quantile of `values` by linear interpolation between order statistics; `values` is sorted in
// place.
double sample_quantile(std::vector<double>& values, double share);

}  // namespace shelfcast::eval
