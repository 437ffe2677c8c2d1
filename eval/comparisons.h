// Every model with every baseline: over all series and in each category, by bootstrap and over dates.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "eval/significance.h"

namespace shelfcast::eval {

// Losses summed over some series, by target date, ascending; dates without judged steps are absent.
struct DateSums {
  std::int64_t step = 0;  // on the corpus' time axis
  double n = 0.0, absolute = 0.0, squared = 0.0, quantile = 0.0;
};

// What WRMSSE says of one target date (HierarchyErrors::Parts).
struct DateWrmsse {
  std::int64_t step = 0;
  double value = 0.0;
};

// What is known of one forecaster for comparisons.
struct LossRecord {
  std::string name;
  std::vector<double> levels;                // that quantile losses are at; empty = it has none to compare
  std::vector<double> absolute, squared;     // [series]
  std::vector<double> quantile;              // [series], of WQL: twice the mean pinball loss
  std::vector<double> wrmsse;                // [series], they add up to it; empty = no hierarchy
  std::vector<std::vector<DateSums>> dates;  // [category]
  std::vector<DateWrmsse> wrmsse_dates;      // ascending
};

struct ComparisonPlan {
  std::vector<std::string> categories;   // may be one that stands for all; then only all are compared
  std::vector<std::size_t> category_of;  // [series]
  std::vector<std::uint8_t> judged;      // [series]
  std::int64_t horizon = 0, resamples = 0;
  int threads = 1;  // that share the resamples; no result depends on them
};

// On mae, mse, wql where both are judged at the same levels, and wrmsse where both have it: for all series,
// then category by category (without wrmsse, whose sums of series run across categories); a category without
// judged series has empty numbers. `models` is how many of the records come first and are compared with each
// of the others.
//
// wql and wrmsse are ratios. What they are divided by (demand; the weights of the nodes) is drawn together
// with the errors and is the same for both, so the relative difference is that of the numerators in every
// draw.
struct Comparisons {
  std::vector<Comparison> overall, by_category;
};
Comparisons compare_losses(const std::vector<LossRecord>& records, std::size_t models,
                           const ComparisonPlan& plan);

}  // namespace shelfcast::eval
