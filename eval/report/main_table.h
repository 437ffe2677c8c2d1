// The table of models by metrics that every form of the report shows.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "eval/report/report_data.h"

namespace shelfcast::eval {

struct MainTable {
  struct Cell {
    std::optional<double> value;
    // Smallest of its column, for bias the nearest to 0; of losses over quantiles only where all are of the
    // same levels: else the column holds several measures.
    bool best = false;
    // Of a model, against the baseline strongest in this metric; none where its backtest lacks that baseline,
    // or nothing tests the metric.
    std::optional<Verdict> verdict;
  };
  struct Row {
    std::string name;
    enum class Kind { model, baseline, published } kind = Kind::model;
    std::size_t forecaster = 0;  // in the result, of models and baselines
    std::int64_t n = 0;
    std::vector<Cell> cells;  // [column]
  };
  std::vector<std::string> metrics;  // of the columns
  std::vector<Row> rows;             // models, baselines, published
};

// `metrics` whose columns are empty for everybody are left out. Published rows that have one of them join.
MainTable main_table(const ReportData& data, const std::vector<std::string>& metrics);

// What must be known beside its numbers, a sentence each.
std::vector<std::string> table_notes(const BacktestResult& result);

// What the main table shows, and what published tables average otherwise.
const std::vector<std::string>& main_metrics();
const std::vector<std::string>& window_metrics();
// Of a table apart.
const std::vector<std::string>& more_metrics();

// Whether a metric judges quantiles, which point forecasts lack.
bool of_quantiles(const std::string& metric);
// Whether this names a combination that a model is a member of: no baseline, for the model is in it.
bool combines_models(const std::string& forecaster);
// The baseline with the smallest overall error; nullptr when nothing was judged.
const ForecasterResult* strongest_baseline(const BacktestResult& result, const std::string& metric);
// The comparison over all series of a model with the baseline strongest in that metric: the one that leaves
// the model least ahead, point forecasts standing for their quantiles. nullptr when there is none, or when
// the strongest may be one that it has not met.
const Comparison* compared_with_strongest(const BacktestResult& result, const std::string& model,
                                          const std::string& metric);
// The baselines of other runs that a model's own backtest lacks.
std::vector<std::string> not_met(const BacktestResult& result, const std::string& model);

}  // namespace shelfcast::eval
