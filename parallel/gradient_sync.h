// Sums gradients over ranks while backward is still running.
#pragma once

#include <memory>

#include "parallel/communicator.h"
#include "parallel/flat_buffers.h"

namespace shelfcast::parallel {

// Cuts the flat gradients into buckets of about `bucket_bytes`, smaller towards the end, and starts each
// bucket's all-reduce as soon as the gradients in it are ready, in the same fixed order on every rank. With
// one rank it does nothing. All members are collective; one thread.
class GradientSync {
 public:
  GradientSync(FlatBuffers& buffers, Communicator& communicator, std::int64_t bucket_bytes);
  ~GradientSync();
  GradientSync(const GradientSync&) = delete;
  GradientSync& operator=(const GradientSync&) = delete;

  // From the next step on. The same on every rank.
  void set_bucket_bytes(std::int64_t bucket_bytes);

  // Call before the backward of the step's last micro-batch: from now on hooks start transfers.
  void arm();
  // Call after that backward: starts the buckets whose hooks never fired, waits for all. The gradients are
  // then the sums over ranks, the same bits on each.
  void finish();
  // Seconds spent waiting in finish() since construction.
  double waited_seconds() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace shelfcast::parallel
