#include "parallel/gradient_sync.h"

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <chrono>

#include "base/error.h"

namespace shelfcast::parallel {

namespace {

constexpr std::int64_t kLeastBytes = 1'000'000;  // below it a transfer is more latency than bytes

// Whole parameters, one after another in the flat buffers.
struct Bucket {
  std::int64_t first = 0, elements = 0;
  int parameters = 0;
  int missing = 0;  // parameters whose gradient is not ready
  std::string label;
};

}  // namespace

struct GradientSync::Impl {
  Impl(FlatBuffers& buffers, Communicator& world, std::int64_t bucket_bytes)
      : communicator(world), gradients(buffers.gradients()) {
    SHELFCAST_ASSERT(gradients.device().is_cpu());
    cut(buffers, bucket_bytes);
    listen(buffers);
  }

  // A bucket closes with the parameter that fills it; padding behind a parameter belongs to its bucket.
  void cut(const FlatBuffers& buffers, std::int64_t bucket_bytes) {
    const auto& ranges = buffers.ranges();
    std::int64_t wanted = 0;
    for (std::size_t i = 0; i < ranges.size(); ++i) {
      if (buckets.empty() || buckets.back().elements >= wanted) {
        wanted = wanted_elements(buffers.elements() - ranges[i].offset, bucket_bytes);
        buckets.push_back({ranges[i].offset, 0, 0, 0, fmt::format("gradients bucket {}", buckets.size())});
      }
      const std::int64_t end = i + 1 < ranges.size() ? ranges[i + 1].offset : buffers.elements();
      buckets.back().elements = end - buckets.back().first;
      ++buckets.back().parameters;
      bucket_of.push_back(buckets.size() - 1);
    }
    for (Bucket& bucket : buckets) bucket.missing = bucket.parameters;
  }

  // Towards the end buckets halve, down to kLeastBytes: the last one's transfer is what no backward hides.
  static std::int64_t wanted_elements(std::int64_t left, std::int64_t bucket_bytes) {
    constexpr auto kElement = static_cast<std::int64_t>(sizeof(float));
    return std::max<std::int64_t>(
        1, std::min(bucket_bytes, std::max(kLeastBytes, left * kElement / 2)) / kElement);
  }

  void listen(FlatBuffers& buffers);

  void ready(std::size_t parameter) {
    if (!armed) return;
    Bucket& bucket = buckets[bucket_of[parameter]];
    // A gradient that arrives after its bucket has left would be lost on the other ranks: each hook must fire
    // once.
    SHELFCAST_ASSERT(bucket.missing > 0);
    --bucket.missing;
    while (pending.size() < buckets.size() && buckets[pending.size()].missing == 0) start_next();
    if (!pending.empty()) communicator.progress();
  }

  // Always the lowest bucket that has not left: the order is the same on every rank, whatever becomes ready
  // when.
  void start_next() {
    const Bucket& bucket = buckets[pending.size()];
    float* data = gradients.mutable_data_ptr<float>() + bucket.first;
    pending.push_back(
        communicator.start_all_reduce({data, static_cast<std::size_t>(bucket.elements)}, bucket.label));
  }

  void finish() {
    while (pending.size() < buckets.size()) start_next();
    const auto started = std::chrono::steady_clock::now();
    for (const auto& operation : pending) operation->wait();
    waited += std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    pending.clear();
    armed = false;
    for (Bucket& bucket : buckets) bucket.missing = bucket.parameters;
  }

  Communicator& communicator;
  at::Tensor gradients;
  std::vector<Bucket> buckets;
  std::vector<std::size_t> bucket_of;  // of ranges()[i]
  std::vector<std::unique_ptr<Pending>> pending;
  std::vector<std::shared_ptr<torch::autograd::Node>>
      accumulators;  // a hook lives as long as its accumulator
  std::vector<std::uintptr_t> hooks;
  bool armed = false;
  double waited = 0;
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

GradientSync::GradientSync(FlatBuffers& buffers, Communicator& communicator, std::int64_t bucket_bytes) {
  if (communicator.size() > 1) impl_ = std::make_unique<Impl>(buffers, communicator, bucket_bytes);
}

// The model may outlive this object, and its accumulators with it.
GradientSync::~GradientSync() {
  if (!impl_) return;
  for (std::size_t i = 0; i < impl_->hooks.size(); ++i)
    impl_->accumulators[i]->del_post_hook(impl_->hooks[i]);
}

void GradientSync::arm() {
  if (impl_) impl_->armed = true;
}

void GradientSync::finish() {
  if (impl_) impl_->finish();
}

double GradientSync::waited_seconds() const { return impl_ ? impl_->waited : 0.0; }

}  // namespace shelfcast::parallel
