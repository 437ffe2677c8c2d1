// A published series model opened as it is: forecasts of plain series at any level, over any horizon.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "models/blocks.h"
#include "models/series/covariates.h"

namespace shelfcast::models {

// Legend: b series, t context steps, q quantile levels, h steps ahead.

// Owned by the caller; forecasts may be asked for from one thread at a time.
class SeriesModel {
 public:
  virtual ~SeriesModel() = default;

  // "chronos-bolt", "chronos-2".
  virtual std::string architecture() const = 0;
  // Steps of context that are read at most; older ones are left out.
  virtual std::int64_t context_length() const = 0;
  // Steps of one forward; longer horizons are unrolled.
  virtual std::int64_t prediction_length() const = 0;
  // Levels that were trained, ascending.
  virtual const std::vector<double>& levels() const = 0;
  // In forward order.
  virtual const std::vector<Parameter>& parameters() const = 0;

  // context_bt: float32 in host memory, as is what is returned, wherever parameters() lie; NaN = not
  // observed, any length from 1. Returns [b, q, h] in units of the series, as the reference package does: not
  // sorted, not cut at 0. Levels between trained ones are interpolated, those beyond are the outermost
  // trained. Throws Error(input) for a level outside (0, 1) or a horizon below 1.
  virtual at::Tensor forecast(const at::Tensor& context_bt, std::int64_t horizon,
                              const std::vector<double>& levels) const = 0;

  virtual bool reads_covariates() const { return false; }
  // The same for series with covariates: [targets, q, h] of each task, in units of its targets. Throws
  // Error(input) also when the model reads none, or naming the task that does not fit.
  virtual std::vector<at::Tensor> forecast_tasks(const std::vector<ForecastTask>& tasks, std::int64_t horizon,
                                                 const std::vector<double>& levels) const;
};

// Opens a published directory: config.json and its weights. Throws Error(input) when it is none, Error(data)
// when what it describes is unknown or does not fit its weights.
std::unique_ptr<SeriesModel> open_series_model(const std::filesystem::path& directory);

// values [b, q, h] at ascending levels `from` -> the same at levels `to`: those themselves when all are among
// `from`; else of the values sorted over levels, linear between and constant beyond.
at::Tensor interpolate_levels(const at::Tensor& values_bqh, const std::vector<double>& from,
                              const std::vector<double>& to);

}  // namespace shelfcast::models
