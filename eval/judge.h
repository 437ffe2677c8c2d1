// One evaluation batch judged: all forecasters' error sums over it, and what there was to judge.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "data/loader.h"
#include "eval/combination.h"
#include "eval/config.h"
#include "eval/demand_level.h"
#include "eval/error_table.h"
#include "eval/forecaster.h"
#include "eval/history.h"
#include "eval/keyed_sums.h"
#include "eval/order_cost.h"
#include "eval/profile.h"
#include "eval/regimes.h"
#include "eval/views.h"

namespace shelfcast::eval {

struct TargetCounts {
  double judged = 0.0, missing = 0.0,
         zeros = 0.0;  // steps with an observed target; without; of the judged those that are 0
  Coverage history;
};

// What is judged beyond series, origins and steps.
struct JudgeExtras {
  // The level of each series whose errors are kept date by date, for tests over time.
  std::vector<std::size_t> date_level_of;
  std::size_t date_levels = 1;
  std::vector<Regime> regimes;
  std::vector<View> views;
  // Two shares that thresholds of low and high demand are fitted at, on the steps before `fitted_until`;
  // empty: steps are not classified.
  std::vector<double> classes;
  std::int64_t fitted_until = 0;
  bool sums = false;                   // demand added up over the first steps, by how many
  bool window_errors = false;          // the errors of every window, for sums of series
  const Combiner* combiner = nullptr;  // whose members are judged, too; nullptr: nothing is combined
};

// How sums by level, origin and horizon step lie in KeyedSums, four doubles each: count, absolute error of
// the median, squared error of the mean, quantile loss.
struct DateCells {
  static constexpr std::size_t kWidth = 4;
  std::size_t levels = 0, origins = 0, horizon = 0;
  std::size_t cells() const { return levels * origins * horizon; }
  std::size_t operator()(std::size_t level, std::size_t origin, std::size_t step) const {
    return (level * origins + origin) * horizon + step;
  }
};

// What one batch adds to the result; also the running total.
struct BatchErrors {
  TargetCounts counts;
  std::vector<ErrorTable> tables;  // one a forecaster
  // One a forecaster and view, its horizon steps being the view's periods: of all views of the first
  // forecaster, then of the next.
  std::vector<ErrorTable> views;
  std::vector<KeyedSums> dates;      // one a forecaster, by DateCells
  std::vector<KeyedSums> regimes;    // one a forecaster, by the levels of all regimes in order
  std::vector<KeyedSums> classes;    // one a forecaster, by date level: confusion matrices; no keys without
  std::vector<KeyedSums> sums;       // one a forecaster, by number of steps added up; no keys without
  std::vector<KeyedSums> inventory;  // one a forecaster, by date level; no keys without forecasts of it
  std::vector<KeyedSums> orders;     // one a forecaster, by OrderCells; no keys without simulated orders
  std::vector<double> simpler;       // one a forecaster: windows that a simpler method stood in for it in
  KeyedSums members;                 // by MemberCells; no keys without combinations
  // One a forecaster, [rows, horizon]: mean forecast - target of the batch's windows, NaN = not observed.
  // Only in the parts, and only when asked for.
  std::vector<std::vector<double>> window_errors;
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
  // `windows`: sorted by series, from some of the `origins`.
  Judge(const data::CorpusSource& corpus, const data::FeatureSpec& spec, const BacktestConfig& config,
        std::vector<data::Window> windows, std::vector<std::int64_t> origins,
        std::vector<Forecaster*> forecasters, JudgeExtras extras);

  std::int64_t batches() const { return reader_.batches(); }
  const std::vector<data::Window>& windows() const { return reader_.windows(); }
  // Batch `index`: what it says depends on nothing else. Throws Error(data) for a forecast that is not
  // finite.
  BatchErrors judge(std::int64_t index);

 private:
  void load(std::int64_t index);
  TargetCounts count() const;
  void add_profiles(BatchErrors& errors) const;
  void find_regimes();
  void judge_forecaster(Forecaster& forecaster, BatchErrors& errors);
  void judge_window(const Forecaster& forecaster, std::size_t row, BatchErrors& errors);
  void judge_view(const View& view, BatchErrors& errors) const;
  void judge_sums(const Forecaster& forecaster, std::size_t row, BatchErrors& errors) const;
  void judge_inventory(const Forecaster& forecaster, std::size_t row, BatchErrors& errors) const;
  void simulate(std::size_t row, BatchErrors& errors) const;
  void fit_thresholds();
  std::size_t class_forecast(std::size_t row, std::size_t step, double median,
                             const LevelThresholds& thresholds) const;
  void classify(std::size_t row, std::size_t step, const Judged& judged, BatchErrors& errors) const;
  void add_extras(std::size_t row, std::size_t step, const Judged& judged, std::span<const double> sums,
                  BatchErrors& errors) const;
  float target(std::size_t row, std::size_t step) const;
  // Of the forecaster and batch at hand, [horizon].
  std::span<const float> mean_of(std::size_t row) const;
  std::span<const float> targets_of(std::size_t row) const;
  void check_finite(const Forecaster& forecaster, std::size_t row, std::size_t step, double value) const;

  std::size_t context_, model_horizon_, horizon_;
  TimeAxis axis_;
  std::vector<std::string> series_names_;
  std::vector<std::int64_t> origins_;
  std::vector<Forecaster*> forecasters_;
  JudgeExtras extras_;
  DateCells cells_;
  OrderConfig order_config_;
  OrderCells order_cells_;
  std::size_t regime_levels_ = 0;  // of all regimes
  data::EvaluationReader reader_;
  HistoryReader history_;
  // The batch at hand.
  data::Batch batch_;
  std::size_t rows_ = 0;                             // without padding
  std::vector<std::int64_t> origin_of_row_;          // number of the row's origin
  std::vector<std::vector<std::size_t>> regime_of_;  // [regime][row, step]: its level among all regimes'
  TableShape shape_;
  std::vector<LevelThresholds> thresholds_;  // [series of the batch]; empty without classes
  ForecastValues values_;
  std::vector<double> first_levels_;  // of the first forecaster: what point forecasts are judged at, too
};

}  // namespace shelfcast::eval
