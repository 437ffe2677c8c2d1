// Whether two backtests judged the same, and published rows whose protocol is known.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "eval/result.h"

namespace shelfcast::eval {

// What differs between two backtests that must agree before their numbers may stand side by side: "horizon:
// 28 against 14". Empty: they judged the same. Baselines, groups, a model's context and batches may differ.
std::vector<std::string> protocol_differences(const BacktestResult& a, const BacktestResult& b);

// Rows that others published for one task.
struct PublishedTask {
  std::string name, source;
  std::vector<std::string> metrics;  // of ours, which theirs correspond to
  struct Row {
    std::string model;
    std::vector<std::optional<double>> values;  // [metric]
  };
  std::vector<Row> rows;
  std::string mismatch;  // why the rows may not stand beside this backtest; empty = they may
};

// The tasks of a file like eval/report/published.json, each held against the backtest: series, dates,
// origins, horizon and season must be those of the publication, and a baseline must come out as published.
// Throws Error(input) for a key or a metric that it does not know, with the nearest one, Error(data) naming
// the file.
std::vector<PublishedTask> published_tasks(const std::string& json, const std::string& file,
                                           const BacktestResult& result);

// The file that programs carry with them.
std::string shipped_published_rows();

}  // namespace shelfcast::eval
