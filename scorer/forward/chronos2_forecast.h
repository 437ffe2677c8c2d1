// Forecasts by a published Chronos-2 model for any horizon and at any levels, on several threads.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "scorer/forward/chronos2.h"

namespace shelfcast::scorer {

// Rows, each a series: one to forecast, a past covariate or one known ahead. Does not own its numbers.
struct Chronos2Series {
  std::int64_t rows = 0, steps = 0, known = 0;
  const float* context = nullptr;        // [rows, steps], NaN = missing
  const float* future = nullptr;         // [rows, known], NaN = unknown; known <= horizon
  std::span<const std::int64_t> groups;  // [rows]: rows with equal ids exchange information, wherever they
                                         // stand; empty = each row for itself
};

struct Chronos2Options {
  std::int64_t horizon = 1;
  std::vector<double> levels;  // to forecast; empty = those of the model
  int threads = 1;
  // Beyond what one forward reaches (max_output_patches), each of these levels is followed as a path of its
  // own; they must be levels of the model.
  std::vector<double> unroll = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9};
};

// Quantiles [rows, levels, horizon] in the rows' own units, not sorted. Levels that the model lacks are
// interpolated between those it has, and constant beyond them. Beyond max_output_patches the forecast's
// quantiles continue the context, one path a level, known covariates take their known values, and the paths'
// quantiles are pooled, weighted by the mass each stands for. The numbers do not depend on `threads` nor on
// the other groups, bit for bit. Throws Error(input) for shapes, levels and horizons that cannot be.
std::vector<float> forecast(const Chronos2& model, const Chronos2Series& series,
                            const Chronos2Options& options);

}  // namespace shelfcast::scorer
