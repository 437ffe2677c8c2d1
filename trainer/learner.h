// What one rank trains: weights in flat buffers, their gradients summed between ranks, and what updates them.
#pragma once

#include <array>
#include <filesystem>
#include <memory>
#include <optional>

#include "models/adapters/rank_allocator.h"
#include "parallel/bucket_tuner.h"
#include "parallel/communicator.h"
#include "parallel/flat_buffers.h"
#include "parallel/gradient_sync.h"
#include "parallel/node_shares.h"
#include "parallel/whole_gradients.h"
#include "trainer/device.h"
#include "trainer/ewc.h"
#include "trainer/model_state.h"
#include "trainer/optimizer.h"
#include "trainer/recipe/recipe.h"
#include "trainer/run/checkpoint.h"
#include "trainer/task.h"
#include "trainer/weight_average.h"

namespace shelfcast::trainer {

// One per rank. A step is backward(), regularise(), then update() or discard(); these four, and restoring and
// holding weights, are collective.
class Learner {
 public:
  // All must outlive it. `found_bucket_mb`: what parallel.bucket_mb: auto came to before, 0 = nothing yet.
  Learner(const Recipe& recipe, Task& task, parallel::Communicator& communicator,
          std::int64_t found_bucket_mb);

  // Takes the optimizer's state, and what else is stored beside the model, out of a checkpoint.
  void restore(const Checkpoints& checkpoints, std::int64_t step);
  // What checkpoints of this rank are made of, by the values there are at the last copy_to_host().
  CheckpointSource checkpoint_source(WriteModel write);
  void copy_to_host() { copies_.download(); }
  // Holds the weights near where they are now (train.ewc): by what `file` says or, where the run begins, by
  // what is measured and written there.
  void hold_weights(const std::filesystem::path& file, bool measured);

  // Forward and backward of this rank's part of the step that follows `step` steps. Gradients are then sums
  // over ranks. Returns the loss' sum over this rank's targets and their weight.
  std::array<double, 2> backward(std::int64_t step);
  // Adds the gradients of what is asked of the weights themselves (train.ewc, adalora) to those of `valid`
  // targets, and returns the norm of the mean gradient.
  double regularise(double valid);
  // Step number `step` (the first is 1) at learning rate `lr`, with gradients times `clip` over `valid`.
  void update(std::int64_t step, double lr, double clip, double valid);
  // The weights stay as they are.
  void discard();

  // While it lives, the model has the averaged weights, where there are any.
  [[nodiscard]] WeightAverage::Use use_average() { return WeightAverage::Use(average_); }

  std::int64_t optimizer_steps() const { return optimizer_->steps(); }
  // The size of buckets in use, 0 while it is being found out; and what was found out, 0 = nothing.
  std::int64_t bucket_mb() const;
  std::int64_t found_bucket_mb() const { return found_bucket_mb_; }
  // The penalty of train.ewc.
  std::optional<double> penalty() const;
  // Seconds since construction, in forward and backward, and for other ranks.
  double compute_seconds() const { return computing_; }
  double waited_seconds() const { return sync_.waited_seconds() + gathering_; }

 private:
  bool leaves(bool last) const;
  WeightedLoss forward_and_backward(std::int64_t step, std::int64_t micro_batch, bool last);
  std::array<double, 2> accumulate_micro_batches(std::int64_t step);
  void tune_buckets(double seconds);
  parallel::NodeShares make_shares() const;
  parallel::Communicator& sharers() const { return shares_.ranks ? *shares_.ranks : communicator_; }
  parallel::Part own_part() const;
  std::optional<parallel::Part> held_part() const;
  std::optional<parallel::Slice> optimizer_share() const;
  double gradient_norm();
  void gather_weights();
  void cut_ranks(std::int64_t step);

  const Recipe& recipe_;
  Task& task_;
  parallel::Communicator& communicator_;
  std::int64_t found_bucket_mb_;
  parallel::NodeShares shares_;  // no ranks = what is shared out is shared out among all
  parallel::FlatBuffers buffers_;
  std::unique_ptr<Optimizer> optimizer_;
  WeightAverage average_;
  std::unique_ptr<models::RankAllocator> ranks_;  // null = no ranks are cut
  HostCopies copies_;
  std::unique_ptr<parallel::Communicator> levels_;  // null = sums are not hierarchical
  parallel::GradientSync sync_;
  std::optional<parallel::BucketTuner> tuner_;     // while the size of buckets is being found out
  std::optional<parallel::WholeGradients> whole_;  // between regularise() and the step's end, for ranks_
  std::optional<ElasticAnchor> anchor_;
  double computing_ = 0, gathering_ = 0;  // seconds
};

}  // namespace shelfcast::trainer
