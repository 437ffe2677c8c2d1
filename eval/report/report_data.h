// Everything a report tells, gathered from the folders of runs.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "eval/report/protocol.h"
#include "eval/report/training_record.h"
#include "eval/result.h"

namespace shelfcast::eval {

struct ReportRun {
  std::string name;  // of its model in the tables
  std::filesystem::path folder;
  RunMetadata metadata;
  std::vector<TrainingRecord> trainings;  // its own, or those of an ensemble's members
};
// Whose training it is: "a", or "seed-18 in ensemble".
std::string training_name(const ReportRun& run, const TrainingRecord& training);

// A series whose absolute errors are among the largest of the best model.
struct WorstSeries {
  std::string series, category;
  SeriesErrors errors;
  double share = 0.0;  // of all absolute error
};

struct ReportData {
  std::string title;
  // All runs' models, by MAE, those judged without baselines after the others, then each baseline once;
  // comparisons of every model with the baselines of its run; fans of the first model.
  BacktestResult result;
  std::vector<ReportRun> runs;      // in the order of result's models
  std::vector<Comparison> between;  // the first model with the others
  std::vector<WorstSeries> worst;
  std::vector<PublishedTask>
      published;  // of the shipped file, where the corpus could be theirs; and all asked for
};

// `published` is a file of rows that must match, or empty. Throws Error(input): no run, a run named twice,
// one without a backtest, runs that were judged by different protocols (the differences are named), a
// published task that does not match; Error(data) for damaged files.
ReportData gather_report(const std::vector<std::filesystem::path>& runs,
                         const std::filesystem::path& published);

// The command that makes a report of the same runs.
std::string report_command(const ReportData& data);

// The first model with the second: overall and by category, by the metrics of compare_losses(). Throws as
// gather_report().
struct RunComparison {
  std::string first, second;
  std::vector<Comparison> overall, by_category;
};
RunComparison compare_runs(const std::filesystem::path& first, const std::filesystem::path& second);

}  // namespace shelfcast::eval
