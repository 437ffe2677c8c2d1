// Every model with every baseline: over all series and in each category, by bootstrap and over dates.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "eval/significance.h"

namespace shelfcast::eval {

// Absolute and squared errors summed over some series, by target date, ascending; dates without judged steps
// are absent.
struct DateSums {
  std::int64_t step = 0;  // on the corpus' time axis
  double n = 0.0, absolute = 0.0, squared = 0.0;
};

// What is known of one forecaster for comparisons.
struct LossRecord {
  std::string name;
  std::vector<double> absolute, squared;     // [series]
  std::vector<std::vector<DateSums>> dates;  // [category]
};

struct ComparisonPlan {
  std::vector<std::string> categories;   // may be one that stands for all; then only all are compared
  std::vector<std::size_t> category_of;  // [series]
  std::vector<std::uint8_t> judged;      // [series]
  std::int64_t horizon = 0, resamples = 0;
  int threads = 1;  // that share the resamples; no result depends on them
};

// On mae and mse: for all series, then category by category; a category without judged series has empty
// numbers. `models` is how many of the records come first and are compared with each of the others.
struct Comparisons {
  std::vector<Comparison> overall, by_category;
};
Comparisons compare_losses(const std::vector<LossRecord>& records, std::size_t models,
                           const ComparisonPlan& plan);

}  // namespace shelfcast::eval
