// Is a difference more than chance? A paired bootstrap over series.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "eval/diebold_mariano.h"

namespace shelfcast::eval {

enum class Verdict { better, worse, unclear };
// "better", "worse", "unclear".
const char* to_string(Verdict verdict);

// The model's error relative to a baseline's, (model - baseline) / baseline: negative is better. The interval
// holds 95 % of the resamples: what other series like these would say. The test of Diebold and Mariano says
// what other dates would. The verdict is better or worse only when the interval excludes 0 and the test,
// where there are dates enough for it, finds the same at 5 %. Empty numbers: fewer than kLeastSeries series
// were judged, no resamples were asked for, or the baseline made no error.
struct Comparison {
  std::string model, baseline, metric;
  std::string category;  // empty = all series
  std::optional<double> difference, low, high;
  std::optional<DieboldMariano> dates;
  Verdict verdict = Verdict::unclear;
  std::int64_t series = 0;  // judged series: what was resampled
};

// Totals of `columns` error sums over `resamples` draws of the series with replacement: [resample, column].
// `sums` is [series, column]. All columns share each draw (paired). Draw r depends on (seed, r) alone, so
// `threads` may share them.
std::vector<double> resampled_totals(std::span<const double> sums, std::size_t columns,
                                     std::int64_t resamples, std::uint64_t seed, int threads = 1);

// Of fewer all lie on one side by chance more often than one time in twenty.
inline constexpr std::int64_t kLeastSeries = 6;

// The share of resamples beyond either end of a 95 % interval over so many series, two at least. It is 2.5 %
// of very many; resamples of few vary too little, which points further out make up for: Hesterberg, "What
// teachers should know about the bootstrap" (2015), expanded percentiles, Phi(-sqrt(n / (n - 1)) t) with
// the 97.5 % point t of Student's t of n - 1 degrees of freedom.
double outer_share(std::int64_t series);

// Compares two columns of the totals; fills everything but the names and the dates.
Comparison compare(std::span<const double> sums, std::span<const double> totals, std::size_t columns,
                   std::size_t model, std::size_t baseline);

// Adds the test over dates and takes back a verdict that it does not share.
void add_dates(std::optional<DieboldMariano> dates, Comparison& comparison);

// The `share` quantile of `values` by linear interpolation between order statistics; `values` is sorted in
// place.
double sample_quantile(std::vector<double>& values, double share);

}  // namespace shelfcast::eval
