// What a backtest found, and the files it is written to.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/corpus.h"
#include "eval/combination.h"
#include "eval/comparisons.h"
#include "eval/config.h"
#include "eval/history.h"
#include "eval/metrics.h"

namespace shelfcast::eval {

// The scores of one group of judged steps, or of all ("overall").
struct GroupScores {
  std::string group, level;  // "store", "CA_1"
  std::vector<Score> scores;

  // The named score; an empty one when there is none.
  Score score(const std::string& metric) const;
};

// Per-series sums over all origins and steps, for the bootstrap and for whoever judges further.
struct SeriesErrors {
  std::int64_t n = 0;
  double absolute_error = 0.0, squared_error = 0.0, absolute_target = 0.0;
  double quantile_loss = 0.0;  // twice the mean pinball loss; of a point forecast at the first model's levels
  std::optional<double> wrmsse;  // the series' part of it; empty without a hierarchy
};

// Puts a series' losses behind those of `record`.
void add_series(const SeriesErrors& errors, LossRecord& record);

struct ForecasterResult {
  std::string name;
  std::vector<double> levels;
  GroupScores overall;              // with the window means
  std::vector<GroupScores> groups;  // "hierarchy" first where there is one; then grouping after grouping, in
                                    // the order asked for; "horizon" levels are "1", "2", ...
  std::vector<SeriesErrors> series;
  // Of a baseline: windows whose history did not admit its method, so that a simpler one stood in.
  std::int64_t simpler_windows = 0;
  bool says_classes = false;  // by a head of its own; else its median is sorted
};

// One series' forecasts from the last origin, for plots.
struct Fan {
  struct Forecast {
    std::string name;
    std::vector<double> levels;
    std::vector<float> quantiles_qh, median_h, mean_h;
  };
  std::string series, why;  // why it was chosen: "largest seller"
  std::int64_t origin = 0;
  std::vector<float> history, target;  // NaN = not observed; history ends just before the origin
  std::vector<Forecast> forecasts;
};

// What was judged on.
struct Judgement {
  std::vector<std::int64_t> origins;
  std::int64_t horizon = 0, context = 0, windows = 0;
  std::int64_t validate_end = 0;                                    // first step the model has not seen
  double targets = 0.0, missing_targets = 0.0, zero_targets = 0.0;  // judged; left out; judged and 0
  Coverage history;  // of the whole corpus up to the last day of demand
  // First step that thresholds are not fitted on: what the model has not seen; the first origin where it has
  // seen nothing of this corpus.
  std::int64_t cut_off() const { return validate_end > 0 ? validate_end : origins.front(); }
};

// What forecasts were combined, and how at each origin.
struct Combinations {
  std::vector<std::string> members;
  std::vector<CombinationWeights> weights;
};

// A training that was judged before it had ended: neither were all steps done, nor did it stop early.
struct UnfinishedTraining {
  std::string run;
  std::int64_t step = 0, planned = 0;  // done by its newest checkpoint, of so many
};

struct BacktestResult {
  BacktestConfig config;
  data::CorpusInfo corpus;
  std::string corpus_digest;
  std::vector<std::string> series_names;
  Judgement judgement;
  std::vector<std::string> absent_groups;  // asked for, but the corpus has no such level
  std::size_t models = 0;                  // the first so many forecasters; the others are baselines
  std::vector<ForecasterResult> forecasters;
  // Each model with each baseline, on mae, mse, wql and wrmsse: over all series, and by category.
  std::vector<Comparison> comparisons, category_comparisons;
  std::vector<std::string> categories;   // that comparisons go by; one = all series
  std::vector<std::size_t> category_of;  // [series]
  std::vector<LossRecord> losses;        // of each forecaster, by series and date
  std::vector<Fan> fans;
  Combinations combinations;
  std::vector<UnfinishedTraining> unfinished;  // of the models, or of the runs averaged in one

  std::string date_of(std::int64_t step) const;
};

// What a report says beyond the result: whose it is, and how it came about. It may differ between two
// backtests with the same result.
struct RunMetadata {
  std::string title;
  std::vector<std::pair<std::string, std::string>> facts, environment;  // in order
  std::vector<std::string> commands;                                    // that make it again, in order
  double seconds = 0.0;                                                 // the backtest took
  std::int64_t ranks = 1, peak_memory_bytes = 0;                        // of it; of rank 0
};

nlohmann::ordered_json comparison_json(const Comparison& comparison);
// Everything but series and fans. An empty value is null.
nlohmann::ordered_json result_json(const BacktestResult& result);
// Long form: model,group,level,metric,value,n with an empty value where there is none.
std::string result_csv(const BacktestResult& result);
// model,series,n,absolute_error,squared_error,absolute_target,category,quantile_loss,wrmsse.
std::string series_csv(const BacktestResult& result);
// model,category,date,n,absolute_error,squared_error,quantile_loss of the models, for tests over dates.
std::string dates_csv(const BacktestResult& result);
// model,date,wrmsse of the models, for those on sums of series.
std::string wrmsse_csv(const BacktestResult& result);
nlohmann::ordered_json fans_json(const BacktestResult& result);
nlohmann::ordered_json run_json(const RunMetadata& metadata);

// Writes RUN/backtest/{metrics.csv, series.csv, dates.csv, wrmsse.csv, fans.json, run.json, result.json},
// each whole or not at all and result.json last; what an earlier backtest left there is replaced. On one
// rank. Throws Error(io).
void write_backtest(const BacktestResult& result, const std::filesystem::path& run_folder,
                    const RunMetadata& metadata);

}  // namespace shelfcast::eval
