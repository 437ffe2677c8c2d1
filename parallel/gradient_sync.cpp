#include "parallel/gradient_sync.h"

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "parallel/buckets.h"

namespace shelfcast::parallel {

struct GradientSync::Impl {
  Impl(FlatBuffers& buffers, Communicator& world, std::int64_t bytes, GradientFormat format,
       Communicator* shares)
      : communicator(world),
        sums(shares == nullptr || buffers.holds_whole_gradients() ? world : *shares),
        ranges(buffers.ranges()),
        elements(buffers.elements()),
        sends_every_backward(!buffers.holds_whole_gradients()),
        bucket_bytes(bytes),
        transfers(make_bucket_transfers(buffers, sums, format)),
        fired(ranges.size(), 0) {
    SHELFCAST_ASSERT(buffers.values().device().is_cpu() || communicator.backend() == "nccl");
    cut(ranges.size());
    listen(buffers);
  }

  // Buckets of the first `count` parameters.
  void cut(std::size_t count) {
    quiet = count;
    quiet_begin = count < ranges.size() ? ranges[count].offset : elements;
    buckets = cut_buckets({ranges.begin(), ranges.begin() + static_cast<std::ptrdiff_t>(count)}, quiet_begin,
                          bucket_bytes);
    labels.clear();
    bucket_of.clear();
    for (std::size_t i = 0; i < buckets.size(); ++i) {
      labels.push_back(fmt::format("gradients bucket {}", i));
      bucket_of.insert(bucket_of.end(), static_cast<std::size_t>(buckets[i].parameters), i);
    }
    transfers->forget_sizes();
    expect_all();
  }

  void expect_all() {
    armed = false;
    started = 0;
    missing.clear();
    for (const Bucket& bucket : buckets) missing.push_back(bucket.parameters);
  }

  void listen(FlatBuffers& buffers);

  void ready(std::size_t parameter) {
    fired[parameter] = 1;
    if (!armed || parameter >= quiet) return;
    const std::size_t bucket = bucket_of[parameter];
    // A gradient that arrives after its bucket has left would be lost on the other ranks: each hook must fire
    // once.
    SHELFCAST_ASSERT(missing[bucket] > 0);
    --missing[bucket];
    if (bucket == started) transfers->take(buckets[bucket], parameter);
    while (started < buckets.size() && missing[started] == 0) start_next();
    if (started > 0) sums.progress();
  }

  // Always the lowest bucket that has not left: the order is the same on every rank, whatever becomes ready
  // when.
  void start_next() {
    transfers->start(buckets[started], labels[started]);
    ++started;
  }

  // What this backward, or none, has left to send.
  void start_rest() {
    while (started < buckets.size()) start_next();
    expect_all();
  }

  void arm() {
    if (armed && sends_every_backward) start_rest();
    armed = true;
  }

  void finish() {
    if (armed || !sends_every_backward) start_rest();
    const auto began = std::chrono::steady_clock::now();
    const std::size_t still_quiet = agree_about_quiet_ones();
    agreeing += std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    transfers->finish();
    if (still_quiet != quiet) cut(still_quiet);
    std::fill(fired.begin(), fired.end(), 0);
  }

  // The first step shows which parameters at the end of the buffers got a gradient on no rank: from then on
  // nobody waits for them, and their zeros are not sent. Should one of them get a gradient after all, they
  // are sent in that step, and belong to the buckets in later ones. Returns the first quiet parameter of the
  // next step; the same on every rank.
  std::size_t agree_about_quiet_ones() {
    if (learned && quiet == ranges.size()) return quiet;
    const std::size_t first = learned ? quiet : 0;
    const std::span<std::int64_t> asked = std::span(fired).subspan(first);
    communicator.all_reduce(asked, ReduceOp::max, "gradients that are there");
    const auto last = std::find(asked.rbegin(), asked.rend(), 1);
    if (last == asked.rend()) return quiet;
    if (!learned) {
      learned = true;
      return static_cast<std::size_t>(asked.rend() - last);
    }
    for (const Bucket& bucket : cut_buckets(
             {ranges.begin() + static_cast<std::ptrdiff_t>(quiet), ranges.end()}, elements, bucket_bytes))
      transfers->start(bucket, "gradients of quiet parameters");
    return ranges.size();
  }

  Communicator& communicator;
  Communicator& sums;  // who sums gradients
  std::vector<FlatRange> ranges;
  std::int64_t elements;
  bool sends_every_backward;
  std::int64_t bucket_bytes;
  std::unique_ptr<BucketTransfers> transfers;
  std::vector<std::int64_t> fired;  // beside ranges: 1 = has got a gradient in this step
  bool learned = false;             // which ones are quiet
  std::size_t quiet = 0;            // the first of them
  std::int64_t quiet_begin = 0;     // its element
  std::vector<Bucket> buckets;
  std::vector<std::string> labels;     // beside buckets
  std::vector<int> missing;            // beside buckets: parameters whose gradient is not ready
  std::vector<std::size_t> bucket_of;  // of ranges()[i]
  std::size_t started = 0;             // buckets that have left
  std::vector<std::shared_ptr<torch::autograd::Node>>
      accumulators;  // a hook lives as long as its accumulator
  std::vector<std::uintptr_t> hooks;
  bool armed = false;
  double agreeing = 0;
};

namespace {

struct ReadyHook : torch::autograd::FunctionPostHook {
  explicit ReadyHook(std::function<void()> call) : call_(std::move(call)) {}
  torch::autograd::variable_list operator()(const torch::autograd::variable_list& outputs,
                                            const torch::autograd::variable_list&) override {
    call_();
    return outputs;
  }
  std::function<void()> call_;
};

}  // namespace

void GradientSync::Impl::listen(FlatBuffers& buffers) {
  for (std::size_t i = 0; i < buffers.tensors().size(); ++i) {
    auto accumulator = torch::autograd::impl::grad_accumulator(buffers.tensors()[i]);
    hooks.push_back(accumulator->add_post_hook(std::make_unique<ReadyHook>([this, i] { ready(i); })));
    accumulators.push_back(std::move(accumulator));
  }
}

GradientSync::GradientSync(FlatBuffers& buffers, Communicator& communicator, std::int64_t bucket_bytes,
                           GradientFormat format, Communicator* shares) {
  if (communicator.size() > 1)
    impl_ = std::make_unique<Impl>(buffers, communicator, bucket_bytes, format, shares);
}

// The model may outlive this object, and its accumulators with it.
GradientSync::~GradientSync() {
  if (!impl_) return;
  for (std::size_t i = 0; i < impl_->hooks.size(); ++i)
    impl_->accumulators[i]->del_post_hook(impl_->hooks[i]);
}

void GradientSync::set_bucket_bytes(std::int64_t bucket_bytes) {
  if (!impl_ || impl_->bucket_bytes == bucket_bytes) return;
  SHELFCAST_ASSERT(!impl_->armed);
  impl_->bucket_bytes = bucket_bytes;
  impl_->cut(impl_->quiet);
}

bool GradientSync::sends_every_backward() const { return impl_ && impl_->sends_every_backward; }

void GradientSync::arm() {
  if (impl_) impl_->arm();
}

void GradientSync::end_micro_batch() {
  if (sends_every_backward()) impl_->start_rest();
}

void GradientSync::finish() {
  if (impl_) impl_->finish();
}

double GradientSync::waited_seconds() const {
  return impl_ ? impl_->agreeing + impl_->transfers->waited_seconds() : 0.0;
}

}  // namespace shelfcast::parallel
