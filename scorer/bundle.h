// A bundle: everything needed to forecast and order on a machine without LibTorch (docs/bundle-format.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/dates.h"
#include "base/safetensors.h"
#include "scorer/forecaster.h"
#include "scorer/orders/copula.h"
#include "scorer/orders/marginal.h"
#include "scorer/orders/recalibration.h"

namespace shelfcast::scorer {

// Names of the series, in the order of all arrays. `store` and `item` hold one name per series, or nothing
// where the corpus has no such level.
struct SeriesNames {
  std::vector<std::string> series, store, item;
  // What the corpus calls those two levels; empty = it has no such level, or the bundle is older.
  std::string store_level = {}, item_level = {};
};

// Forecasts computed by the trainer, in units of demand, that the scorer has to reproduce.
struct GoldenCases {
  std::vector<std::int64_t> series;  // g cases: rows of the bundle's arrays
  std::vector<float> quantiles_gqh, mean_gh;
};

// What turns forecasts of steps into the distribution of demand summed over steps.
struct CopulaParameters {
  Correlation correlation;  // [horizon, horizon]
  Recalibration recalibration;
};

// Of a column known ahead: cells (series by steps to be forecast) in which nothing is said.
struct FutureGap {
  std::string column;
  std::int64_t missing = 0, cells = 0;
};

struct BundleInfo {
  std::string name;             // of the run it was exported from
  std::string created_by;       // program and build
  TimeAxis axis;                // of the corpus: monthly steps keep the day of the month that it started on
  std::int64_t first_step = 0;  // of the forecast, on that axis
  std::int64_t series = 0, context = 0, horizon = 0;
  std::vector<double> levels;
  DemandKind demand = DemandKind::counts;  // counts: all that was ever observed is whole units
  // What the corpus did not say when it was exported: columns with a gap, and series of which nothing was
  // observed in the context.
  std::vector<FutureGap> future_gaps;
  std::int64_t unobserved_series = 0;

  // Begins step `step` of the forecast, from 0.
  Date date_of(std::int64_t step) const { return axis.date_of(first_step + step); }
};

// What opening a bundle checks besides the files themselves.
enum class GoldenCheck { run, skip };

// A bundle opened for reading. Opening checks every file against its digest and the forecasts of the golden
// cases against LibTorch's, so that a damaged file or a CPU that computes something else never makes an
// order. Throws Error(data) naming the file, or the series and the difference. Immutable afterwards.
class Bundle {
 public:
  explicit Bundle(const std::filesystem::path& folder, Isa isa = best_isa(),
                  GoldenCheck golden = GoldenCheck::run);

  const std::filesystem::path& folder() const { return folder_; }
  const BundleInfo& info() const { return info_; }
  const SeriesNames& names() const { return names_; }
  const DemandModel& model() const { return *model_; }
  const ModelInputs& inputs() const { return inputs_; }
  const CopulaParameters& copula() const { return copula_; }
  const GoldenCases& golden() const { return golden_; }

 private:
  void read_names();
  void read_inputs();
  void read_copula();
  void read_golden();
  void check_golden() const;

  std::filesystem::path folder_;
  BundleInfo info_;
  SeriesNames names_;
  std::unique_ptr<DemandModel> model_;
  std::unique_ptr<SafetensorsFile> arrays_;  // what inputs_ points into
  ModelInputs inputs_;
  CopulaParameters copula_;
  GoldenCases golden_;
};

// How far a forecast may be from the golden one: 1e-4 of the series' scale, and the last digits of a float32.
double golden_tolerance(double scale, double value);
// How far one written count lies from the next; those of large means are computed in coarser units.
double count_step(double count);

}  // namespace shelfcast::scorer
