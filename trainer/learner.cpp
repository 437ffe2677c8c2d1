#include "trainer/learner.h"

#include <algorithm>

#include "base/activity.h"
#include "base/clock.h"
#include "base/log.h"
#include "parallel/hierarchical.h"

namespace shelfcast::trainer {
namespace {

constexpr std::int64_t kMegabyte = 1'000'000;

}  // namespace

Learner::Learner(const Recipe& recipe, Task& task, parallel::Communicator& communicator,
                 std::int64_t found_bucket_mb)
    : recipe_(recipe),
      task_(task),
      communicator_(communicator),
      found_bucket_mb_(found_bucket_mb),
      shares_(make_shares()),
      buffers_(task.trained(), communicator.size(), held_part(), &communicator),
      optimizer_(make_optimizer(recipe.train.optimizer, buffers_, optimizer_share())),
      average_(buffers_, recipe.train.ema),
      ranks_(task.rank_allocator()),
      levels_(recipe.parallel.hierarchical
                  ? parallel::make_hierarchical(communicator, static_cast<int>(recipe.parallel.node_ranks))
                  : nullptr),
      sync_(buffers_, levels_ ? *levels_ : communicator, bucket_mb() * kMegabyte, recipe.parallel.compress,
            shares_.ranks.get()) {
  if (bucket_mb() == ParallelConfig::kTuned)
    tuner_.emplace(buffers_.elements() * static_cast<std::int64_t>(sizeof(float)));
  if (recipe.train.cuda_graphs && buffers_.values().is_cuda() && leaves(task.micro_batches() == 1) &&
      communicator.rank() == 0)
    log::warn("train.cuda_graphs does nothing here: gradients leave with every micro-batch");
}

parallel::NodeShares Learner::make_shares() const {
  if (recipe_.parallel.zero_within == ZeroWithin::run || communicator_.size() == 1) return {};
  return parallel::make_node_shares(communicator_, static_cast<int>(recipe_.parallel.node_ranks));
}

// This rank's, of what is shared out.
parallel::Part Learner::own_part() const { return {sharers().rank(), sharers().size()}; }

// What this rank holds of the gradients; none = all.
std::optional<parallel::Part> Learner::held_part() const {
  if (recipe_.parallel.zero < 2 || sharers().size() == 1) return std::nullopt;
  return own_part();
}

// What of the flat buffers this rank's optimizer updates and remembers; none = all.
std::optional<parallel::Slice> Learner::optimizer_share() const {
  if (recipe_.parallel.zero == 0) return std::nullopt;
  return parallel::slice_of(buffers_.elements(), own_part());
}

void Learner::restore(const Checkpoints& checkpoints, std::int64_t step) {
  HostCopies copies(HostCopies::Memory::pageable);
  optimizer_->set_steps(checkpoints.read_optimizer(
      step, buffers_.ranges(), stored_state(*optimizer_, buffers_, average_, copies, ranks_.get())));
  copies.upload();
}

CheckpointSource Learner::checkpoint_source(WriteModel write) {
  return trainer::checkpoint_source(std::move(write), buffers_, *optimizer_, average_, copies_,
                                    {communicator_.rank(), communicator_.size(), shares_.node, shares_.nodes},
                                    ranks_.get());
}

void Learner::hold_weights(const std::filesystem::path& file, bool measured) {
  if (measured) {
    anchor_.emplace(file, buffers_);
    return;
  }
  activity::enter_phase("Fisher information");
  anchor_.emplace(task_, buffers_, communicator_);
  if (communicator_.rank() == 0) anchor_->save(file, buffers_);
}

std::int64_t Learner::bucket_mb() const {
  if (recipe_.parallel.bucket_mb != ParallelConfig::kTuned) return recipe_.parallel.bucket_mb;
  if (communicator_.size() == 1) return ParallelConfig().bucket_mb;  // nothing is sent
  return found_bucket_mb_;
}

// `seconds`: what gradients and their sums took in the step.
void Learner::tune_buckets(double seconds) {
  communicator_.all_reduce(std::span(&seconds, 1), parallel::ReduceOp::max, "time of the step");
  tuner_->add(seconds);
  if (!tuner_->done()) return;
  found_bucket_mb_ = tuner_->megabytes();
  sync_.set_bucket_bytes(found_bucket_mb_ * kMegabyte);
  log::all("buckets of {} MB make the shortest steps here", found_bucket_mb_);
  tuner_.reset();
}

// Whether gradients leave the rank with a micro-batch.
bool Learner::leaves(bool last) const { return sync_.sends() && (sync_.sends_every_backward() || last); }

WeightedLoss Learner::forward_and_backward(std::int64_t step, std::int64_t micro_batch, bool last) {
  try {
    if (!leaves(last)) return task_.forward_and_backward(step, micro_batch, {});
    return task_.forward_and_backward(step, micro_batch, [&](int more) {
      if (sync_.sends_every_backward() || more == 0) sync_.arm();
    });
  } catch (const c10::OutOfMemoryError& error) {
    std::int64_t elements = buffers_.elements() + buffers_.gradients().numel();
    if (recipe_.train.ema > 0) elements += buffers_.elements();
    if (anchor_) elements += 2 * buffers_.elements();
    for (const OptimizerState& state : optimizer_->state()) elements += state.values.numel();
    throw out_of_memory(error, elements * static_cast<std::int64_t>(sizeof(float)), recipe_.train);
  }
}

// The sums are read at the end, because reading waits for a GPU, that otherwise goes on from micro-batch to
// micro-batch.
std::array<double, 2> Learner::accumulate_micro_batches(std::int64_t step) {
  WeightedLoss all;
  const std::int64_t count = task_.micro_batches();
  for (std::int64_t micro = 0; micro < count; ++micro) {
    const auto started = Clock::now();
    const double waited = task_.waited_seconds() + sync_.waited_seconds();
    const WeightedLoss one = forward_and_backward(step, micro, micro + 1 == count);
    sync_.end_micro_batch();
    all += one;
    computing_ += seconds_since(started) - (task_.waited_seconds() + sync_.waited_seconds() - waited);
    activity::note_progress();
  }
  const auto started = Clock::now();
  const std::array<double, 2> read = {all.sum_now(), all.weight_now()};
  computing_ += seconds_since(started);
  return read;
}

std::array<double, 2> Learner::backward(std::int64_t step) {
  if (tuner_) sync_.set_bucket_bytes(tuner_->megabytes() * kMegabyte);
  const auto started = Clock::now();
  const std::array<double, 2> own = accumulate_micro_batches(step);
  sync_.finish();
  if (tuner_) tune_buckets(seconds_since(started));
  return own;
}

double Learner::regularise(double valid) {
  if (anchor_) anchor_->pull(buffers_, recipe_.train.ewc.strength * valid);
  // Importances are those of whole matrices.
  if (ranks_) {
    whole_.emplace(buffers_, sharers());
    ranks_->pull(valid);
    whole_->keep_changes();
  }
  return gradient_norm() / std::max(1.0, valid);
}

double Learner::gradient_norm() {
  std::vector<double> squares = buffers_.gradient_squares();
  if (!buffers_.holds_whole_gradients())
    sharers().all_reduce(std::span<double>(squares), parallel::ReduceOp::sum, "gradient norm");
  return parallel::norm_of(squares);
}

void Learner::update(std::int64_t step, double lr, double clip, double valid) {
  if (ranks_) ranks_->remember_gradients(clip / valid);
  optimizer_->step(lr, clip / valid);
  gather_weights();
  average_.update();
  if (ranks_) cut_ranks(step);
  whole_.reset();
}

void Learner::discard() {
  buffers_.zero_gradients();
  whole_.reset();
}

// Every rank has updated its share.
void Learner::gather_weights() {
  const std::optional<parallel::Slice> share = optimizer_share();
  if (!share) return;
  const auto started = Clock::now();
  const std::span<float> all = span_of(buffers_.values());
  sharers().all_gather(
      all.subspan(static_cast<std::size_t>(share->begin), static_cast<std::size_t>(share->size())), all,
      "updated weights");
  gathering_ += seconds_since(started);
}

// In the weights, and in the average of them that is stored in their place.
void Learner::cut_ranks(std::int64_t step) {
  if (!ranks_->allocate(step)) return;
  const WeightAverage::Use use(average_);
  ranks_->cut();
}

std::optional<double> Learner::penalty() const {
  if (!anchor_) return std::nullopt;
  return recipe_.train.ewc.strength * anchor_->penalty(buffers_);
}

}  // namespace shelfcast::trainer
