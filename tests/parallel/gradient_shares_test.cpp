// ZeRO-2: every rank ends up with its part of the summed gradients and never holds all of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <thread>

#include "base/error.h"
#include "parallel/gradient_sync.h"
#include "parallel/hierarchical.h"
#include "parallel/launch.h"
#include "parallel/nccl/nccl_communicator.h"
#include "parallel/node_shares.h"
#include "parallel/threads/delayed_link.h"
#include "parallel/whole_gradients.h"
#include "tests/contract/gpu_twin.h"
#include "tests/parallel/chain.h"

namespace shelfcast::parallel {
namespace {

constexpr int kLayers = 6;

// What a rank's own micro-batch leaves: layer 2 is not used by rank 1.
at::Tensor own_gradients(int rank, int micro_batch) {
  const Chain chain(kLayers, rank, micro_batch);
  const FlatBuffers buffers(chain.parameters);
  chain.loss(rank == 1 ? 2 : -1).backward();
  return buffers.gradients().clone();
}

at::Tensor rounded(const at::Tensor& values) { return values.to(at::kBFloat16).to(at::kFloat); }

// Sums over ranks, in rank order, of each micro-batch; these added up.
at::Tensor sums_of_micro_batches(int ranks, int micro_batches, GradientFormat format) {
  const bool fp32 = format == GradientFormat::fp32;
  at::Tensor all;
  for (int micro = 0; micro < micro_batches; ++micro) {
    at::Tensor sum;
    for (int rank = 0; rank < ranks; ++rank) {
      const at::Tensor own = own_gradients(rank, micro), sent = fp32 ? own : rounded(own);
      sum = rank == 0 ? sent : sum + sent;
    }
    if (!fp32) sum = rounded(sum);
    all = micro == 0 ? sum : all + sum;
  }
  return all;
}

// Of whole elements, padded with zeros, the part of `rank`.
at::Tensor part_of(const at::Tensor& whole, const FlatBuffers& buffers) {
  at::Tensor padded = at::zeros({buffers.elements()});
  padded.narrow(0, 0, whole.numel()).copy_(whole);
  return padded.narrow(0, buffers.held().begin, buffers.held().size());
}

enum class Hooks { start_transfers, come_too_late };

void step_of_shares(const Chain& chain, FlatBuffers& buffers, GradientSync& sync, int micro_batches,
                    Hooks hooks = Hooks::start_transfers) {
  const int skipped = chain.rank == 1 ? 2 : -1;
  for (int micro = 0; micro < micro_batches; ++micro) {
    const at::Tensor loss = Chain::on(chain, micro).loss(skipped);
    if (hooks == Hooks::start_transfers) sync.arm();
    loss.backward();
    sync.end_micro_batch();
  }
  sync.finish();
  EXPECT_TRUE(
      std::ranges::none_of(buffers.tensors(), [](const at::Tensor& t) { return t.grad().defined(); }));
}

TEST(GradientShares, are_the_parts_of_the_sums_for_any_ranks_buckets_micro_batches_and_formats) {
  for (const int ranks : {2, 3, 5})  // parts of 5 and 3 begin in the middle of layers
    for (const int micro_batches : {1, 3})
      for (const std::int64_t bucket_bytes : {1, 600, 1'000'000'000})
        for (const Hooks hooks : {Hooks::start_transfers, Hooks::come_too_late})
          for (const GradientFormat format : {GradientFormat::fp32, GradientFormat::bf16}) {
            const at::Tensor expected = sums_of_micro_batches(ranks, micro_batches, format);
            run_ranks_as_threads(ranks, [&](Communicator& communicator) {
              const Chain chain(kLayers, communicator.rank());
              FlatBuffers buffers(chain.parameters, ranks, Part{communicator.rank(), ranks});
              EXPECT_EQ(buffers.gradients().numel() * ranks, buffers.elements());
              GradientSync sync(buffers, communicator, bucket_bytes, format);
              for (int step = 0; step < 2; ++step) {  // the second step finds all as the first did
                buffers.zero_gradients();
                step_of_shares(chain, buffers, sync, micro_batches, hooks);
                EXPECT_TRUE(at::equal(buffers.gradients(), part_of(expected, buffers)))
                    << ranks << " ranks, " << micro_batches << " micro-batches, buckets of " << bucket_bytes;
              }
            });
          }
}

TEST(GradientShares, equal_whole_gradients_bit_by_bit_with_one_micro_batch_and_to_rounding_with_more) {
  constexpr int kRanks = 3;
  for (const int micro_batches : {1, 4}) {
    run_ranks_as_threads(kRanks, [&](Communicator& communicator) {
      const Chain for_whole(kLayers, communicator.rank()), for_shares(kLayers, communicator.rank());
      FlatBuffers whole(for_whole.parameters, kRanks),
          shares(for_shares.parameters, kRanks, Part{communicator.rank(), kRanks});
      GradientSync sync_whole(whole, communicator, 600), sync_shares(shares, communicator, 600);
      const int skipped = communicator.rank() == 1 ? 2 : -1;
      for (int micro = 0; micro < micro_batches; ++micro) {
        const at::Tensor loss = Chain::on(for_whole, micro).loss(skipped);
        if (micro + 1 == micro_batches) sync_whole.arm();
        loss.backward();
      }
      sync_whole.finish();
      step_of_shares(for_shares, shares, sync_shares, micro_batches);
      const at::Tensor expected = part_of(whole.gradients(), shares);
      if (micro_batches == 1) {
        EXPECT_TRUE(at::equal(shares.gradients(), expected));
        std::vector<double> squares = shares.gradient_squares();
        communicator.all_reduce(std::span<double>(squares), ReduceOp::sum, "squares");
        EXPECT_EQ(norm_of(squares), whole.gradient_norm());
      }
      EXPECT_LT((shares.gradients() - expected).abs().max().item<float>(),
                1e-5F * whole.gradients().abs().max().item<float>());
    });
  }
}

TEST(GradientShares, leave_their_parameters_at_once_and_two_buckets_are_under_way_at_most) {
  const auto link = std::make_shared<DelayedLink>(LinkSpeed{1e5, 0}, 2);  // 1.28 ms a layer
  run_ranks_as_threads(2, [&](Communicator& inner) {
    const auto communicator = make_delayed(inner, link);
    const Chain chain(kLayers, inner.rank());
    FlatBuffers buffers(chain.parameters, 2, Part{inner.rank(), 2});
    GradientSync sync(buffers, *communicator, 1);
    std::ptrdiff_t most = 0;
    const std::function<void()> look = [&] {
      most = std::max(most, std::ranges::count_if(buffers.tensors(),
                                                  [](const at::Tensor& t) { return t.grad().defined(); }));
    };
    sync.arm();
    const auto began = DelayedLink::Time::clock::now();
    chain.loss(-1, &look).backward();
    // Six layers cannot have been made before four had been sent.
    EXPECT_GE(std::chrono::duration<double>(DelayedLink::Time::clock::now() - began).count(),
              4 * 256 / 2.0 / 1e5);
    sync.finish();
    EXPECT_LE(most, 1);
    EXPECT_GT(sync.waited_seconds(), 0.0);
  });
}

TEST(GradientShares, of_several_backwards_of_a_micro_batch_and_of_ranks_without_one_add_up) {
  constexpr int kRanks = 3;
  // Two backwards of micro-batch 0, of 1 only on ranks 0 and 1.
  at::Tensor expected;
  for (int rank = 0; rank < kRanks; ++rank) {
    at::Tensor own = own_gradients(rank, 0) * 2;
    if (rank < 2) own = own + own_gradients(rank, 1);
    expected = rank == 0 ? own : expected + own;
  }
  run_ranks_as_threads(kRanks, [&](Communicator& communicator) {
    const Chain chain(kLayers, communicator.rank());
    FlatBuffers buffers(chain.parameters, kRanks, Part{communicator.rank(), kRanks});
    GradientSync sync(buffers, communicator, 600);
    const int skipped = communicator.rank() == 1 ? 2 : -1;
    for (int i = 0; i < 2; ++i) {
      const at::Tensor loss = Chain::on(chain, 0).loss(skipped);
      sync.arm();
      loss.backward();
    }
    sync.end_micro_batch();
    if (communicator.rank() < 2) {
      sync.arm();
      Chain::on(chain, 1).loss(skipped).backward();
    }
    sync.end_micro_batch();
    sync.finish();
    EXPECT_LT((buffers.gradients() - part_of(expected, buffers)).abs().max().item<float>(),
              1e-5F * expected.abs().max().item<float>());
  });
}

TEST(GradientShares, zeros_of_parameters_without_gradients_are_not_sent_until_one_gets_some) {
  const auto link = std::make_shared<DelayedLink>(LinkSpeed{1e9, 0}, 2);
  run_ranks_as_threads(2, [&](Communicator& inner) {
    const auto communicator = make_delayed(inner, link);
    const Chain chain(kLayers, inner.rank());  // the buffers end with layer 0
    FlatBuffers buffers(chain.parameters, 2, Part{inner.rank(), 2});
    GradientSync sync(buffers, *communicator, 600);
    // Layers that a step sends. Only rank 1 uses layer 0, and only in the first of two micro-batches, if at
    // all.
    const auto layers_sent = [&](bool used) {
      const double before = link->busy_seconds();
      inner.barrier("before the step");
      buffers.zero_gradients();
      at::Tensor expected;
      for (int rank = 0; rank < 2; ++rank) {
        const Chain alone(kLayers, rank);
        const FlatBuffers own(alone.parameters);
        alone.loss(used && rank == 1 ? -1 : 0).backward();
        alone.loss(0).backward();
        expected = rank == 0 ? own.gradients().clone() : expected + own.gradients();
      }
      for (const int skipped : {used && inner.rank() == 1 ? -1 : 0, 0}) {
        const at::Tensor loss = chain.loss(skipped);
        sync.arm();
        loss.backward();
        sync.end_micro_batch();
      }
      sync.finish();
      EXPECT_LT((buffers.gradients() - part_of(expected, buffers)).abs().max().item<float>(),
                1e-5F * expected.abs().max().item<float>());
      inner.barrier("after the step");
      return (link->busy_seconds() - before) * 1e9 / (64 * 4 / 2.0);  // half an all-reduce
    };
    EXPECT_NEAR(layers_sent(false), 2 * kLayers, 0.01);  // learns
    EXPECT_NEAR(layers_sent(false), 2 * (kLayers - 1), 0.01);
    EXPECT_NEAR(layers_sent(true), 2 * (kLayers - 1) + 1, 0.01);  // once, for both micro-batches
    EXPECT_NEAR(layers_sent(false), 2 * kLayers, 0.01);
  });
}

TEST(GradientShares, a_second_backward_after_arming_is_an_error_and_never_a_lost_gradient) {
  EXPECT_THROW(run_ranks_as_threads(2,
                                    [&](Communicator& communicator) {
                                      const Chain chain(kLayers, communicator.rank());
                                      FlatBuffers buffers(chain.parameters, 2, Part{communicator.rank(), 2});
                                      GradientSync sync(buffers, communicator, 1);
                                      sync.arm();
                                      chain.loss().backward();
                                      chain.loss().backward();
                                      sync.finish();
                                    }),
               Error);
}

TEST(GradientShares, of_device_memory_travel_by_nccl) {
  constexpr int kRanks = 3;
  const at::Tensor expected = sums_of_micro_batches(kRanks, 2, GradientFormat::fp32);
  // All memory counts as the device's.
  const AdoptedByTwin device(reinterpret_cast<const void*>(1), std::numeric_limits<std::ptrdiff_t>::max());
  const std::int64_t before = collectives_of_twin();
  run_ranks_as_threads(kRanks, [&](Communicator& host) {
    const auto communicator = make_nccl({std::shared_ptr<void>(), &host}, gpu_twin(), 0, {});
    const Chain chain(kLayers, host.rank());
    FlatBuffers buffers(chain.parameters, kRanks, Part{host.rank(), kRanks});
    GradientSync sync(buffers, *communicator, 600);
    step_of_shares(chain, buffers, sync, 2);
    EXPECT_TRUE(at::equal(buffers.gradients(), part_of(expected, buffers)));
  });
  EXPECT_GE(collectives_of_twin() - before, 4) << "the sums went another way";
}

TEST(GradientShares, are_whole_for_a_moment_where_somebody_looks_at_whole_ones) {
  constexpr int kRanks = 3;
  const at::Tensor expected = sums_of_micro_batches(kRanks, 1, GradientFormat::fp32);
  run_ranks_as_threads(kRanks, [&](Communicator& communicator) {
    const Chain chain(kLayers, communicator.rank());
    FlatBuffers buffers(chain.parameters, kRanks, Part{communicator.rank(), kRanks});
    GradientSync sync(buffers, communicator, 600);
    step_of_shares(chain, buffers, sync, 1);
    {
      WholeGradients whole(buffers, communicator);
      for (std::size_t i = 0; i < buffers.tensors().size(); ++i) {
        const FlatRange& range = buffers.ranges()[i];
        EXPECT_TRUE(at::equal(buffers.tensors()[i].grad(), expected.narrow(0, range.offset, range.elements)));
        at::Tensor(buffers.tensors()[i].grad()).mul_(3);
      }
      whole.keep_changes();
    }
    EXPECT_TRUE(at::equal(buffers.gradients(), part_of(expected * 3, buffers)));
    EXPECT_FALSE(buffers.tensors()[0].grad().defined());
  });
}

TEST(GradientSync, in_bf16_stays_within_the_error_of_its_roundings_and_is_the_same_on_every_rank) {
  for (const int ranks : {2, 3, 5}) {
    at::Tensor exact = at::zeros({kLayers * 64}, at::kDouble), sizes = exact.clone();
    for (int rank = 0; rank < ranks; ++rank) {
      const at::Tensor own = own_gradients(rank, 0).to(at::kDouble);
      exact += own;
      sizes += own.abs();
    }
    const at::Tensor expected = sums_of_micro_batches(ranks, 1, GradientFormat::bf16);
    // Half a unit in the last of 8 bits for what every rank gives, and for the sum.
    const double bound = 2.0 / 256 * (1 + 1.0 / 256) + 1e-6;
    EXPECT_LT(((expected.to(at::kDouble) - exact).abs() / sizes).max().item<double>(), bound);
    for (const std::int64_t bucket_bytes : {1, 600, 1'000'000'000}) {
      run_ranks_as_threads(ranks, [&](Communicator& communicator) {
        const Chain chain(kLayers, communicator.rank());
        FlatBuffers buffers(chain.parameters);
        GradientSync sync(buffers, communicator, bucket_bytes, GradientFormat::bf16);
        sync.arm();
        chain.loss(communicator.rank() == 1 ? 2 : -1).backward();
        sync.finish();
        EXPECT_TRUE(at::equal(buffers.gradients(), expected)) << ranks << " ranks, " << bucket_bytes;
      });
    }
  }
}

TEST(GradientSync, sums_by_node_have_the_bits_of_sums_of_nodes_for_whole_gradients_and_shares) {
  for (const int node_ranks : {1, 2, 3, 5}) {
    constexpr int kRanks = 5;
    at::Tensor expected, node;
    for (int rank = 0; rank < kRanks; ++rank) {
      const at::Tensor own = own_gradients(rank, 0);
      node = rank % node_ranks == 0 ? own : node + own;
      if (rank % node_ranks == node_ranks - 1 || rank == kRanks - 1)
        expected = expected.defined() ? expected + node : node;
    }
    for (const bool shares : {false, true}) {
      run_ranks_as_threads(kRanks, [&](Communicator& flat) {
        const auto communicator = make_hierarchical(flat, node_ranks);
        const Chain chain(kLayers, flat.rank());
        FlatBuffers buffers(chain.parameters, kRanks,
                            shares ? std::optional(Part{flat.rank(), kRanks}) : std::nullopt);
        GradientSync sync(buffers, *communicator, 600);
        for (int step = 0; step < 2; ++step) {
          buffers.zero_gradients();
          sync.arm();
          chain.loss(flat.rank() == 1 ? 2 : -1).backward();
          sync.finish();
          EXPECT_TRUE(at::equal(buffers.gradients(), part_of(expected, buffers)))
              << "nodes of " << node_ranks << (shares ? ", shares" : "");
        }
      });
    }
  }
}

// Each node holds all parts; sums are by node and then over nodes, of every micro-batch.
TEST(GradientSync, shares_within_nodes_are_the_same_in_each_and_have_the_bits_of_sums_of_nodes) {
  constexpr int kRanks = 6;
  for (const int node_ranks : {1, 2, 3, 6})
    for (const int micro_batches : {1, 3})
      for (const std::int64_t bucket_bytes : {1, 600, 1'000'000'000}) {
        at::Tensor expected;
        for (int micro = 0; micro < micro_batches; ++micro) {
          at::Tensor sum, node;
          for (int rank = 0; rank < kRanks; ++rank) {
            const at::Tensor own = own_gradients(rank, micro);
            node = rank % node_ranks == 0 ? own : node + own;
            if (rank % node_ranks == node_ranks - 1) sum = sum.defined() ? sum + node : node;
          }
          expected = micro == 0 ? sum : expected + sum;
        }
        run_ranks_as_threads(kRanks, [&](Communicator& world) {
          const NodeShares shares = make_node_shares(world, node_ranks);
          EXPECT_EQ(shares.nodes, kRanks / node_ranks);
          EXPECT_EQ(shares.node, world.rank() / node_ranks);
          ASSERT_EQ(shares.ranks->size(), node_ranks);
          const Chain chain(kLayers, world.rank());
          // Nodes of one rank hold all of it: then sums are those of all ranks, as ever.
          FlatBuffers buffers(chain.parameters, kRanks, Part{shares.ranks->rank(), node_ranks});
          EXPECT_EQ(buffers.gradients().numel() * node_ranks, buffers.elements());
          GradientSync sync(buffers, world, bucket_bytes, GradientFormat::fp32, shares.ranks.get());
          for (int step = 0; step < 2 && node_ranks > 1; ++step) {
            buffers.zero_gradients();
            step_of_shares(chain, buffers, sync, micro_batches);
            EXPECT_TRUE(at::equal(buffers.gradients(), part_of(expected, buffers)))
                << "nodes of " << node_ranks << ", " << micro_batches << " micro-batches, buckets of "
                << bucket_bytes;
            // The norm is that of whole gradients, cut alike whatever a node is.
            std::vector<double> squares = buffers.gradient_squares();
            EXPECT_EQ(squares.size(), static_cast<std::size_t>(kRanks));
            shares.ranks->all_reduce(std::span<double>(squares), ReduceOp::sum, "squares");
            const Chain other(kLayers, world.rank());
            const FlatBuffers whole(other.parameters, kRanks);
            whole.gradients().zero_();
            whole.gradients().narrow(0, 0, expected.numel()).copy_(expected);
            EXPECT_EQ(norm_of(squares), whole.gradient_norm());
          }
        });
      }
}

// A rank that is late to hand its node's sum on holds up the others, but nobody waits for somebody who waits
// for him.
TEST(GradientSync, shares_within_nodes_get_through_whoever_is_late) {
  for (int late = 0; late < 4; ++late)
    run_ranks_as_threads(4, [&](Communicator& world) {
      const NodeShares shares = make_node_shares(world, 2);
      const Chain chain(kLayers, world.rank());
      FlatBuffers buffers(chain.parameters, 4, Part{shares.ranks->rank(), 2});
      GradientSync sync(buffers, world, 1, GradientFormat::bf16, shares.ranks.get());
      for (int step = 0; step < 3; ++step) {
        const std::function<void()> sleep = [&] {
          if (world.rank() == late) std::this_thread::sleep_for(std::chrono::milliseconds(3));
        };
        sync.arm();
        chain.loss(-1, &sleep).backward();
        sync.finish();
      }
      EXPECT_FALSE(buffers.gradients().isnan().any().item<bool>());
    });
}

TEST(NodeShares, refuse_nodes_of_different_sizes_on_every_rank) {
  run_ranks_as_threads(5, [](Communicator& world) {
    try {
      (void)make_node_shares(world, 2);
      ADD_FAILURE() << "five ranks in nodes of two";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      EXPECT_NE(std::string(error.what()).find("node 0 has 2 of the 5 ranks, node 2 has 1"),
                std::string::npos)
          << error.what();
    }
  });
}

}  // namespace
}  // namespace shelfcast::parallel
