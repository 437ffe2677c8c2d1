// How buckets of gradients travel: into whole sums on every rank, or into the share of each.
#pragma once

#include <memory>
#include <string>

#include "parallel/bfloat16.h"
#include "parallel/buckets.h"
#include "parallel/communicator.h"
#include "parallel/flat_buffers.h"

namespace shelfcast::parallel {

// The gradients of one backward after the other, bucket by bucket, in the same order on every rank.
// Collective but for take(); one thread.
class BucketTransfers {
 public:
  virtual ~BucketTransfers() = default;
  // The gradient of parameter `parameter`, of the bucket that starts next, is there.
  virtual void take(const Bucket& /*next*/, std::size_t /*parameter*/) {}
  // All gradients of `bucket` that will come are there.
  virtual void start(const Bucket& bucket, const std::string& label) = 0;
  // Waits for all that was started. The sums over ranks are then in the buffers.
  virtual void finish() = 0;
  // Nothing is under way, and buckets will have other sizes.
  virtual void forget_sizes() {}
  // Seconds spent waiting for other ranks since construction.
  double waited_seconds() const { return waited_; }

 protected:
  void wait_for(Pending& pending);

 private:
  double waited_ = 0;
};

// As `buffers` hold their gradients. Whole ones are summed in place; of shares each is summed at its rank
// (ZeRO stage 2: Rajbhandari et al., 2020), bucket by bucket through two places that take turns: one is
// filled while the other is under way. Sums are added to the share, so that gradients of several backwards
// accumulate there; gradients that were taken are gone from the parameters.
std::unique_ptr<BucketTransfers> make_bucket_transfers(const FlatBuffers& buffers, Communicator& communicator,
                                                       GradientFormat format);

}  // namespace shelfcast::parallel
