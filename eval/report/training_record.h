// What runs' metrics.jsonl say of their trainings.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "eval/report/plots.h"

namespace shelfcast::eval {

struct TrainingRecord {
  std::string name;  // of the member of an ensemble; empty: of the run itself
  Curve loss, validation;
  std::int64_t steps = 0;
  double seconds = 0.0;             // from the first to the last line, pauses between starts left out
  double device_seconds = 0.0;      // that times the ranks at work
  bool on_gpus = false;             // what the ranks computed on
  double windows_per_second = 0.0;  // median over the lines
  double peak_memory_bytes = 0.0;   // of rank 0
};

// Nothing where the folder has no such file (a published model was never trained here). Curves are thinned to
// a few hundred points. Throws Error(data) naming the line that is damaged.
std::optional<TrainingRecord> read_training(const std::filesystem::path& run_folder);

// Keeps the trainings behind a backtest beside it, in RUN/backtest/trainings.json, for a folder that is not
// a run's own: an ensemble's, or the one named by --out. Without any, what lay there is removed. Throws
// Error(io).
void write_trainings(const std::vector<TrainingRecord>& trainings, const std::filesystem::path& run_folder);
// Those kept beside the folder's backtest, or the training of its own run. Throws Error(data).
std::vector<TrainingRecord> read_trainings(const std::filesystem::path& run_folder);

}  // namespace shelfcast::eval
