// Files of one JSON object a line, each of some step: metrics.jsonl, bad-steps.jsonl.
#pragma once

#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json_fwd.hpp>

#include "trainer/run/event_file.h"

namespace shelfcast::trainer {

// metrics.jsonl has a line for every logged step and every validation. Keys of a training line: step, epoch,
// loss (mean over the good steps since the last line), learning_rate, gradient_norm, skipped (bad steps so
// far), windows_per_second (all ranks), seconds (load, compute, wait, save over the ranks; StragglerReport),
// memory_bytes and peak_memory_bytes (rank 0), time (Unix seconds). Keys of a validation line: step,
// validation_loss, best_step, validation_seconds.
class MetricsLog {
 public:
  // What of an existing file stays: lines of steps after `step` (-1 = of all) were written by a run that died
  // before its next checkpoint, and so was a validation of `step` itself that is pending.
  struct Kept {
    std::int64_t step = -1;
    bool validation = true;
  };
  // Opens for appending and drops the rest first, so that the log of a resumed run reads as if it had never
  // stopped. Throws Error(io).
  MetricsLog(const std::filesystem::path& path, Kept kept);

  // From now on lines go to a new event file for TensorBoard in `folder`, too: their numbers as scalars
  // "train/KEY", of validation_KEY "validation/KEY". Throws Error(io).
  void write_events(const std::filesystem::path& folder, std::int64_t step);

  // Writes one line and flushes it. Throws Error(io) naming the file (a full disk).
  void write(const nlohmann::json& line);
  // Returns when the lines outlive a loss of power, as the checkpoint that they belong to does. Throws the
  // same.
  void make_durable() const;

 private:
  std::filesystem::path path_;
  std::ofstream file_;
  std::unique_ptr<EventFile> events_;
};

}  // namespace shelfcast::trainer
