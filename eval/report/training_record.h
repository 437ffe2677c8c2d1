// What a run's metrics.jsonl says of its training.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "eval/report/plots.h"

namespace shelfcast::eval {

struct TrainingRecord {
  Curve loss, validation;
  std::int64_t steps = 0;
  double seconds = 0.0;             // from the first to the last line, pauses between starts left out
  double windows_per_second = 0.0;  // median over the lines
  double peak_memory_bytes = 0.0;   // of rank 0
};

// Nothing where the folder has no such file (a published model was never trained here). Curves are thinned to
// a few hundred points. Throws Error(data) naming the line that is damaged.
std::optional<TrainingRecord> read_training(const std::filesystem::path& run_folder);

}  // namespace shelfcast::eval
