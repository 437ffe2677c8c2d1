#include "parallel/gradient_sync.h"

#include <gtest/gtest.h>

#include <mutex>

#include "base/error.h"
#include "parallel/launch.h"

namespace shelfcast::parallel {
namespace {

// Three layers and one that is never used.
struct Net {
  Net() {
    at::manual_seed(4);
    for (const char* name : {"first", "second", "third", "unused"}) {
      parameters.push_back({name, (at::randn({6, 6}) * 0.4).set_requires_grad(true)});
    }
  }
  at::Tensor loss(const at::Tensor& x) const {
    at::Tensor y = x;
    for (int i = 0; i < 3; ++i) y = at::tanh(at::mm(y, parameters[static_cast<std::size_t>(i)].tensor));
    return y.square().sum();
  }
  std::vector<FlatParameter> parameters;
};

// Gradients of the whole batch on one rank.
at::Tensor whole(const at::Tensor& x) {
  const Net net;
  const FlatBuffers buffers(net.parameters);
  net.loss(x).backward();
  return buffers.gradients();
}

// Gradients on each rank after its share of `x` went through in micro-batches of `micro` rows.
std::vector<at::Tensor> shared(const at::Tensor& x, int ranks, std::int64_t micro,
                               std::int64_t bucket_bytes) {
  std::vector<at::Tensor> results(static_cast<std::size_t>(ranks));
  run_ranks_as_threads(ranks, [&](Communicator& communicator) {
    // Ranks are built one after another, since LibTorch's generator is one.
    static std::mutex building;
    std::unique_ptr<Net> net;
    {
      const std::lock_guard lock(building);
      net = std::make_unique<Net>();
    }
    FlatBuffers buffers(net->parameters);
    GradientSync sync(buffers, communicator, bucket_bytes);
    const std::int64_t rows = x.size(0) / ranks, first = rows * communicator.rank();
    for (int step = 0; step < 2; ++step) {  // the second step finds every bucket as the first did
      buffers.zero_gradients();
      for (std::int64_t row = 0; row < rows; row += micro) {
        const at::Tensor loss = net->loss(x.narrow(0, first + row, micro));
        if (row + micro == rows) sync.arm();
        loss.backward();
      }
      sync.finish();
    }
    results[static_cast<std::size_t>(communicator.rank())] = buffers.gradients().clone();
  });
  return results;
}

TEST(GradientSync, ranks_times_micro_batches_equal_one_batch_for_any_buckets) {
  at::manual_seed(5);
  const at::Tensor x = at::randn({12, 6}), expected = whole(x);
  for (const int ranks : {1, 2, 3}) {
    for (const std::int64_t bucket_bytes : {1, 200, 1'000'000}) {
      const auto results = shared(x, ranks, 2, bucket_bytes);
      for (const at::Tensor& result : results) {
        EXPECT_LT((result - expected).abs().max().item<float>(), 1e-5F)
            << ranks << " ranks, " << bucket_bytes;
        EXPECT_TRUE(at::equal(result, results[0])) << "ranks differ";
      }
    }
  }
}

TEST(GradientSync, a_second_backward_after_arming_is_an_error_and_never_a_lost_gradient) {
  at::manual_seed(6);
  const at::Tensor x = at::randn({4, 6});
  EXPECT_THROW(run_ranks_as_threads(2,
                                    [&](Communicator& communicator) {
                                      const Net net;
                                      FlatBuffers buffers(net.parameters);
                                      GradientSync sync(buffers, communicator, 1);
                                      sync.arm();
                                      net.loss(x).backward();
                                      net.loss(x).backward();
                                      sync.finish();
                                    }),
               Error);
}

TEST(GradientSync, hooks_end_with_it) {
  at::manual_seed(7);
  const at::Tensor x = at::randn({4, 6});
  run_ranks_as_threads(2, [&](Communicator& communicator) {
    const Net net;
    FlatBuffers buffers(net.parameters);
    {
      GradientSync sync(buffers, communicator, 1);
      sync.arm();
      sync.finish();
    }
    net.loss(x).backward();  // would call into a destroyed object
  });
}

}  // namespace
}  // namespace shelfcast::parallel
