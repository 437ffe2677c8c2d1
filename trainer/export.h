// From a trained run to a bundle that the scorer reads.
#pragma once

#include <filesystem>

#include "trainer/trained_run.h"

namespace shelfcast::trainer {

struct ExportResult {
  std::int64_t series = 0;
  std::int64_t copula_windows =
      0;  // windows after the training cut-off that the dependence between steps was estimated on
};

// Writes the bundle `out`: weights, columns, the last context of every series, the dependence of forecast
// errors between steps (estimated on windows after the training cut-off), golden cases. Warns of columns
// known ahead that the corpus does not have for the steps to forecast, and of series without an observation
// in the context. Throws Error(input) when `out` exists or the scorer cannot run the tower, Error(data) when
// the scorer does not reproduce the model's forecasts.
ExportResult export_bundle(const TrainedRun& run, const std::filesystem::path& out);

}  // namespace shelfcast::trainer
