// Sums gradients over ranks while backward is still running.
#pragma once

#include <memory>

#include "parallel/bucket_transfers.h"
#include "parallel/communicator.h"
#include "parallel/flat_buffers.h"

namespace shelfcast::parallel {

// Cuts the flat gradients into buckets of about `bucket_bytes`, smaller towards the end, and starts each
// bucket's sum over ranks as soon as the gradients in it are ready, in the same fixed order on every rank.
// Whole gradients are sent once a step; where ranks hold shares, those of every backward are (a rank has no
// room to add them up first). With one rank it does nothing. All members are collective; one thread.
class GradientSync {
 public:
  // `shares`: those among whom shares are shared out, where that is not all of `communicator`
  // (node_shares.h); null = all.
  GradientSync(FlatBuffers& buffers, Communicator& communicator, std::int64_t bucket_bytes,
               GradientFormat format = GradientFormat::fp32, Communicator* shares = nullptr);
  ~GradientSync();
  GradientSync(const GradientSync&) = delete;
  GradientSync& operator=(const GradientSync&) = delete;

  // From the next step on. The same on every rank.
  void set_bucket_bytes(std::int64_t bucket_bytes);

  // Whether there is another rank to send to.
  bool sends() const { return impl_ != nullptr; }
  // Whether gradients leave with every backward, and not with the step's last one.
  bool sends_every_backward() const;
  // Call before a backward whose gradients are to leave: from now on hooks start transfers. Every rank calls
  // it equally often within a micro-batch, or, where a rank has nothing to learn from it, not at all.
  void arm();
  // Call after each micro-batch: starts what is left of it to send, where every backward is sent.
  void end_micro_batch();
  // Call after the step's last backward: starts the buckets whose hooks never fired, waits for all. The
  // gradients held are then the sums over ranks, whole ones the same bits on each.
  void finish();
  // Seconds spent waiting for other ranks since construction.
  double waited_seconds() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace shelfcast::parallel
