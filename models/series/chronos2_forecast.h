// Forecasts by Chronos-2 for tasks of any horizon and at any levels.
#pragma once

#include <torch/types.h>

#include <vector>

#include "models/series/chronos2.h"
#include "models/series/covariates.h"

namespace shelfcast::models {

struct UnrollOptions {
  // Beyond what one forward reaches, each of these levels is followed as a path of its own; they must be
  // levels of the model.
  std::vector<double> levels = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9};
  // Rows of one forward, at least one task. Fewer are taken where rows_in_memory() says so.
  std::int64_t batch_rows = 256;
};

// How many rows with so many steps of context to forecast together: at least one, at most options.batch_rows,
// and so few that a layer's attention probabilities of them, or of all their paths where the horizon is
// unrolled, stay below 256 MB.
std::int64_t rows_in_memory(const Chronos2Config& config, std::int64_t context, std::int64_t horizon,
                            const UnrollOptions& options = {});

// Quantiles [b, q, horizon] at the model's levels, in the rows' own units, for rows as forward() takes them
// (`inputs.future_bh` may have up to `horizon` columns; `inputs.patches` is not read). Horizons beyond
// max_output_patches are unrolled: the forecast's quantiles continue the context, one path a level, known
// covariates take their known values, and the paths' quantiles are pooled, weighted by the mass each stands
// for. No gradient. Throws Error(input).
at::Tensor unrolled_forecast(const Chronos2& tower, const Chronos2Inputs& inputs, std::int64_t horizon,
                             const UnrollOptions& options = {});

// For each task [targets, levels, horizon] at `levels`, in the targets' own units; levels that the model
// lacks are interpolated between those it has, and constant beyond them. Throws Error(input) naming the task.
std::vector<at::Tensor> forecast(const Chronos2& tower, const std::vector<ForecastTask>& tasks,
                                 std::int64_t horizon, const std::vector<double>& levels,
                                 const UnrollOptions& options = {});

}  // namespace shelfcast::models
