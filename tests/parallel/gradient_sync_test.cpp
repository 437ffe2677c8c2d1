#include "parallel/gradient_sync.h"

#include <gtest/gtest.h>

#include <mutex>
#include <thread>

#include "base/error.h"
#include "parallel/launch.h"
#include "parallel/nccl/nccl_communicator.h"
#include "parallel/threads/delayed_link.h"
#include "tests/contract/gpu_twin.h"
#include "tests/parallel/chain.h"

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
enum class Over { threads, nccl_twin };
std::vector<at::Tensor> shared(const at::Tensor& x, int ranks, std::int64_t micro, std::int64_t bucket_bytes,
                               Over over = Over::threads) {
  std::vector<at::Tensor> results(static_cast<std::size_t>(ranks));
  run_ranks_as_threads(ranks, [&](Communicator& host) {
    const std::unique_ptr<Communicator> nccl =
        over == Over::threads ? nullptr : make_nccl({std::shared_ptr<void>(), &host}, gpu_twin(), 0, {});
    Communicator& communicator = nccl ? *nccl : host;
    // Ranks are built one after another, since LibTorch's generator is one.
    static std::mutex building;
    std::unique_ptr<Net> net;
    {
      const std::lock_guard lock(building);
      net = std::make_unique<Net>();
    }
    FlatBuffers buffers(net->parameters);
    const AdoptedByTwin device(buffers.gradients().const_data_ptr(), buffers.gradients().nbytes());
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

TEST(GradientSync, device_memory_travels_by_nccl_while_backward_runs) {
  at::manual_seed(5);
  const at::Tensor x = at::randn({12, 6}), expected = whole(x);
  for (const std::int64_t bucket_bytes : {1, 200, 1'000'000}) {
    const std::int64_t before = collectives_of_twin();
    for (const at::Tensor& result : shared(x, 3, 2, bucket_bytes, Over::nccl_twin))
      EXPECT_LT((result - expected).abs().max().item<float>(), 1e-5F) << bucket_bytes;
    EXPECT_GE(collectives_of_twin() - before, 2) << "the sums went another way";
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

constexpr int kLayers = 6;

// What rank-ordered sums of the ranks' own gradients are; rank 1 leaves layer 2 out.
at::Tensor sums_of_own_gradients(int ranks, int micro_batches) {
  at::Tensor sums;
  for (int rank = 0; rank < ranks; ++rank) {
    const Chain chain(kLayers, rank);
    const FlatBuffers buffers(chain.parameters);
    for (int i = 0; i < micro_batches; ++i) chain.loss(rank == 1 ? 2 : -1).backward();
    sums = rank == 0 ? buffers.gradients().clone() : sums + buffers.gradients();
  }
  return sums;
}

TEST(GradientSync, overlap_and_bucket_sizes_leave_every_bit_as_it_is) {
  for (const int ranks : {2, 3}) {
    const at::Tensor expected = sums_of_own_gradients(ranks, 2);
    for (const bool overlap : {false, true}) {
      for (const std::int64_t bucket_bytes : {1, 600, 1'000'000'000}) {
        run_ranks_as_threads(ranks, [&](Communicator& communicator) {
          const Chain chain(kLayers, communicator.rank());
          FlatBuffers buffers(chain.parameters);
          GradientSync sync(buffers, communicator, bucket_bytes);
          const int skipped = communicator.rank() == 1 ? 2 : -1;  // a layer that one rank does not use
          chain.loss(skipped).backward();
          if (overlap) sync.arm();
          chain.loss(skipped).backward();
          sync.finish();
          EXPECT_TRUE(at::equal(buffers.gradients(), expected))
              << ranks << " ranks, buckets of " << bucket_bytes << (overlap ? ", overlapping" : "");
        });
      }
    }
  }
}

TEST(GradientSync, sends_nothing_before_it_is_armed_and_most_while_backward_runs) {
  const auto link = std::make_shared<DelayedLink>(LinkSpeed{1e5, 0}, 2);  // 2.56 ms a layer
  std::atomic<bool> armed = false;
  run_ranks_as_threads(2, [&](Communicator& inner) {
    const auto communicator = make_delayed(inner, link);
    const Chain chain(kLayers, inner.rank());
    FlatBuffers buffers(chain.parameters);
    GradientSync sync(buffers, *communicator, 1);
    const std::function<void()> work = [] { std::this_thread::sleep_for(std::chrono::milliseconds(12)); };
    chain.loss().backward();
    inner.barrier("accumulated");
    EXPECT_EQ(link->busy_seconds(), 0.0);
    inner.barrier("checked");
    sync.arm();
    chain.loss(-1, &work).backward();
    inner.barrier("backward");  // whatever is left on the link now was not hidden
    const double left =
        std::chrono::duration<double>(link->busy_until() - DelayedLink::Time::clock::now()).count();
    const double sent = link->busy_seconds();
    EXPECT_NEAR(sent, kLayers * 64 * 4 / 1e5, 1e-9);
    EXPECT_LT(left, 0.4 * sent);
    sync.finish();
    EXPECT_GE(DelayedLink::Time::clock::now(), link->busy_until());
  });
}

TEST(GradientSync, zeros_of_parameters_without_gradients_are_not_sent_until_one_gets_some) {
  const auto link = std::make_shared<DelayedLink>(LinkSpeed{1e9, 0}, 2);
  run_ranks_as_threads(2, [&](Communicator& inner) {
    const auto communicator = make_delayed(inner, link);
    const Chain chain(kLayers, inner.rank());  // the buffers end with layer 0
    FlatBuffers buffers(chain.parameters);
    GradientSync sync(buffers, *communicator, 600);
    // Layers that a step sends. Only rank 1 uses layer 0 and only before the last micro-batch, if at all.
    const auto layers_sent = [&](bool used) {
      const double before = link->busy_seconds();
      inner.barrier("before the step");
      buffers.zero_gradients();
      const bool here = used && inner.rank() == 1;
      chain.loss(here ? -1 : 0).backward();
      sync.arm();
      chain.loss(0).backward();
      sync.finish();
      at::Tensor expected;
      for (int rank = 0; rank < 2; ++rank) {
        const Chain alone(kLayers, rank);
        const FlatBuffers own(alone.parameters);
        alone.loss(used && rank == 1 ? -1 : 0).backward();
        alone.loss(0).backward();
        expected = rank == 0 ? own.gradients().clone() : expected + own.gradients();
      }
      EXPECT_TRUE(at::equal(buffers.gradients(), expected));
      inner.barrier("after the step");
      return (link->busy_seconds() - before) * 1e9 / (64 * 4);
    };
    EXPECT_NEAR(layers_sent(false), kLayers, 0.01);  // learns
    EXPECT_NEAR(layers_sent(false), kLayers - 1, 0.01);
    EXPECT_NEAR(layers_sent(true), kLayers, 0.01);
    EXPECT_NEAR(layers_sent(false), kLayers, 0.01);
  });
}

TEST(GradientSync, an_error_inside_backward_is_what_the_run_ends_with_and_nothing_stays_under_way) {
  for (const std::int64_t bucket_bytes : {1, 600}) {
    try {
      run_ranks_as_threads(2, [&](Communicator& communicator) {
        const Chain chain(kLayers, communicator.rank());
        FlatBuffers buffers(chain.parameters);
        GradientSync sync(buffers, communicator, bucket_bytes);
        int layers = 0;
        const std::function<void()> fail = [&] {
          if (communicator.rank() == 1 && ++layers == kLayers)
            throw data_error("a broken layer", "made for this test");
        };
        sync.arm();
        chain.loss(-1, &fail).backward();
        sync.finish();
      });
      FAIL() << "no error";
    } catch (const std::exception& error) {
      EXPECT_NE(std::string(error.what()).find("a broken layer"), std::string::npos) << error.what();
    }
  }
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
