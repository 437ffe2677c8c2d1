// Writes checkpoints while training goes on: the state is copied during the next forward and backward, which
// do not change it, and written from the copy by a thread of its own.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "trainer/run/checkpoint.h"

namespace shelfcast::trainer {

// What checkpoints are made of. The memory behind the spans must not change from start() to finish_copy().
struct CheckpointSource {
  std::vector<parallel::FlatRange> ranges;
  std::span<const float> values;     // all weights, of rank 0
  std::vector<FlatState> optimizer;  // what this rank stores
  // Writes the model's files into a folder from a copy of `values`. Called on rank 0, in the writer's thread.
  std::function<void(const std::filesystem::path& folder, std::span<const float> values)> write_model;
};

// What goes beside the arrays.
struct CheckpointNotes {
  TrainState state;
  std::int64_t optimizer_steps = 0;
  std::string recipe_yaml;
  nlohmann::json conditions;
};

// One per rank. Every rank writes its share of the optimizer's state into a common folder; rank 0 writes the
// model beside and, once all ranks have written, puts the folder in place and removes old checkpoints. Knows
// no communicator: the caller says when all ranks have written. One thread calls it. Every function throws
// what the thread met (Error(io) for a full disk); older checkpoints are then as they were.
class CheckpointWriter {
 public:
  CheckpointWriter(Checkpoints checkpoints, CheckpointSource source, int rank, int ranks,
                   std::int64_t keep_last);
  // Waits for the thread. What was not committed is removed (rank 0) or left for the next start to remove.
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  // Begins the checkpoint of notes.state.step; the one before must have been committed.
  void start(CheckpointNotes notes);
  // Returns when the arrays have been copied and may change.
  void finish_copy();
  // Whether a checkpoint was started and not committed: the same on every rank.
  bool under_way() const { return under_way_; }
  // Whether this rank has written its part.
  bool part_written();
  void wait_until_part_written();
  // All ranks have written: rank 0 begins to put the checkpoint in place.
  void commit();
  // Returns when rank 0 has done so.
  void wait_until_committed();

  // Seconds since construction that the caller was kept waiting, and that the thread took to copy and to
  // write.
  struct Times {
    double blocked = 0, copy = 0, write = 0;
  };
  Times times() const;

 private:
  struct Thread;
  void wait_until(const std::function<bool()>& done);

  bool under_way_ = false;
  std::int64_t step_ = -1, best_step_ = -1;  // of the checkpoint started last
  double blocked_ = 0;
  std::unique_ptr<Thread> thread_;
};

}  // namespace shelfcast::trainer
