// One evaluation batch judged: all forecasters' error sums over it, and what there was to judge.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "data/loader.h"
#include "eval/config.h"
#include "eval/error_table.h"
#include "eval/forecaster.h"
#include "eval/history.h"
#include "eval/profile.h"

namespace shelfcast::eval {

struct TargetCounts {
  double judged = 0.0, missing = 0.0,
         zeros = 0.0;  // steps with an observed target; without; of the judged those that are 0
  Coverage history;
};

// What one batch adds to the result; also the running total.
struct BatchErrors {
  TargetCounts counts;
  std::vector<ErrorTable> tables;  // one a forecaster
  // Of a run of series from `first_series` on, those whose first origin is in the batch.
  std::int64_t first_series = 0;
  std::vector<SeriesProfile> profiles;

  void merge(const BatchErrors& part);
  // As plain doubles for the other ranks: appended to `out`, and taken off the front of `in`.
  void pack(std::vector<double>& out) const;
  static BatchErrors unpack(std::span<const double>& in);
};

// Reads batches and judges them. One per rank; owns its handles on the corpus, so it is used from one thread.
class Judge {
 public:
  Judge(const std::filesystem::path& corpus, const data::FeatureSpec& spec, const BacktestConfig& config,
        std::int64_t series, std::vector<std::int64_t> origins, std::vector<Forecaster*> forecasters);

  std::int64_t batches() const { return reader_.batches(); }
  std::int64_t windows() const { return std::ssize(reader_.windows()); }
  // Batch `index`: what it says depends on nothing else. Throws Error(data) for a forecast that is not
  // finite.
  BatchErrors judge(std::int64_t index);

 private:
  void load(std::int64_t index);
  TargetCounts count() const;
  void add_profiles(BatchErrors& errors) const;
  ErrorTable judge_forecaster(Forecaster& forecaster);
  void judge_window(const Forecaster& forecaster, std::size_t row, ErrorTable& table);
  float target(std::size_t row, std::size_t step) const;
  void check_finite(const Forecaster& forecaster, std::size_t row, std::size_t step, double value) const;

  std::size_t model_horizon_, horizon_;
  TimeAxis axis_;
  std::vector<std::string> series_names_;
  std::vector<std::int64_t> origins_;
  std::vector<Forecaster*> forecasters_;
  data::EvaluationReader reader_;
  HistoryReader history_;
  // The batch at hand.
  data::Batch batch_;
  std::size_t rows_ = 0;                     // without padding
  std::vector<std::int64_t> origin_of_row_;  // number of the row's origin
  TableShape shape_;
  ForecastValues values_;
};

}  // namespace shelfcast::eval
