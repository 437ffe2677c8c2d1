// What a run's own folder says about it: how far it is, and its metric. Read only; the trainer writes there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "trainer/run/checkpoint.h"
#include "trainer/sweep/sweep_plan.h"

namespace shelfcast::trainer {

// What the newest checkpoint that is whole says; nullopt = there is none. Reads it all, as a resume does.
std::optional<TrainState> saved_state(const std::filesystem::path& run);

// The best value of `metric` in metrics.jsonl up to and including `step`. Throws Error(data) when the file
// has none, with the keys it has.
double best_metric(const std::filesystem::path& run, const std::string& metric, Goal goal, std::int64_t step);

// The end of metrics.jsonl, for a table: cheap however long the file is.
struct LiveProgress {
  std::int64_t step = 0;
  double seconds_per_step = 0;   // 0 = not known
  std::optional<double> metric;  // the last one logged
  double silent_seconds = 0;     // since the file was last written
};
std::optional<LiveProgress> live_progress(const std::filesystem::path& run, const std::string& metric);

}  // namespace shelfcast::trainer
