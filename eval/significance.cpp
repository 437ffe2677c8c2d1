#include "eval/significance.h"

#include <algorithm>
#include <cmath>
#include <thread>

#include "base/error.h"
#include "base/random.h"

namespace shelfcast::eval {
namespace {

constexpr double kLevel = 0.05;  // of the test over dates
constexpr std::size_t kDrawnTogether =
    8;  // resamples that share one pass over the series: a row is read once

double column_total(std::span<const double> rows, std::size_t columns, std::size_t column) {
  double total = 0.0;
  for (std::size_t i = column; i < rows.size(); i += columns) total += rows[i];
  return total;
}

}  // namespace

const char* to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::better:
      return "better";
    case Verdict::worse:
      return "worse";
    case Verdict::unclear:
      break;
  }
  return "unclear";
}

std::vector<double> resampled_totals(std::span<const double> sums, std::size_t columns,
                                     std::int64_t resamples, std::uint64_t seed, int threads) {
  SHELFCAST_ASSERT(columns > 0 && sums.size() % columns == 0);
  const std::size_t series = sums.size() / columns;
  std::vector<double> totals(static_cast<std::size_t>(resamples) * columns);
  if (series == 0) return totals;
  const auto groups = (static_cast<std::size_t>(resamples) + kDrawnTogether - 1) / kDrawnTogether;
  const auto draw_every = [&](std::size_t first, std::size_t apart) {
    std::vector<std::uint32_t> counts(series * kDrawnTogether);
    for (std::size_t group = first; group < groups; group += apart) {
      const std::size_t begin = group * kDrawnTogether;
      const std::size_t drawn = std::min(kDrawnTogether, static_cast<std::size_t>(resamples) - begin);
      std::ranges::fill(counts, 0U);
      for (std::size_t r = 0; r < drawn; ++r) {
        RandomStream stream(mix(seed, begin + r));
        for (std::size_t i = 0; i < series; ++i) ++counts[stream.below(series) * kDrawnTogether + r];
      }
      for (std::size_t s = 0; s < series; ++s) {
        const double* row = sums.data() + s * columns;
        for (std::size_t r = 0; r < drawn; ++r) {
          if (counts[s * kDrawnTogether + r] == 0) continue;
          const double count = counts[s * kDrawnTogether + r];
          double* total = totals.data() + (begin + r) * columns;
          for (std::size_t c = 0; c < columns; ++c) total[c] += count * row[c];
        }
      }
    }
  };
  std::vector<std::jthread> helpers;
  for (int t = 1; t < threads; ++t)
    helpers.emplace_back(draw_every, static_cast<std::size_t>(t), static_cast<std::size_t>(threads));
  draw_every(0, static_cast<std::size_t>(threads));
  helpers.clear();  // joins
  return totals;
}

double sample_quantile(std::vector<double>& values, double share) {
  std::ranges::sort(values);
  const double position = share * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (position - static_cast<double>(below)) * (values[above] - values[below]);
}

double outer_share(std::int64_t series) {
  const double freedom = static_cast<double>(series - 1);
  double low = 0.0, high = 1e4;  // around the t beyond which 5 % lie, by halving
  for (int i = 0; i < 80; ++i) {
    const double middle = (low + high) / 2;
    (student_two_sided(middle, freedom) > kLevel ? low : high) = middle;
  }
  const double z = std::sqrt(static_cast<double>(series) / freedom) * low;
  return 0.5 * std::erfc(z / std::sqrt(2.0));
}

Comparison compare(std::span<const double> sums, std::span<const double> totals, std::size_t columns,
                   std::size_t model, std::size_t baseline) {
  Comparison comparison;
  comparison.series = static_cast<std::int64_t>(sums.size() / columns);
  const double base = column_total(sums, columns, baseline);
  if (comparison.series == 0 || !(base > 0)) return comparison;
  comparison.difference = (column_total(sums, columns, model) - base) / base;
  std::vector<double> draws;
  for (std::size_t row = 0; row + columns <= totals.size(); row += columns)
    if (totals[row + baseline] > 0)
      draws.push_back((totals[row + model] - totals[row + baseline]) / totals[row + baseline]);
  if (draws.empty() || comparison.series < kLeastSeries) return comparison;
  const double outer = outer_share(comparison.series);
  comparison.low = sample_quantile(draws, outer);
  comparison.high = sample_quantile(draws, 1.0 - outer);
  if (*comparison.high < 0) comparison.verdict = Verdict::better;
  if (*comparison.low > 0) comparison.verdict = Verdict::worse;
  return comparison;
}

void add_dates(std::optional<DieboldMariano> dates, Comparison& comparison) {
  comparison.dates = dates;
  if (!dates) return;
  const bool better = comparison.verdict == Verdict::better;
  if (dates->p >= kLevel || (dates->statistic < 0) != better) comparison.verdict = Verdict::unclear;
}

}  // namespace shelfcast::eval
