// The cost model against closed forms, its own limits, and transfers that were made to take their time.
#include "trainer/cost_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/random.h"

namespace shelfcast::trainer {
namespace {

// One node, so that an all-reduce is a ring.
CostAssumptions one_node(double gigabytes, double latency_us) {
  CostAssumptions assumed;
  assumed.gpus_per_node = 1e6;
  assumed.node_gb_s = gigabytes;
  assumed.node_latency_us = latency_us;
  return assumed;
}

CostInputs inputs_of(std::int64_t parameters, std::int64_t each) {
  CostInputs inputs;
  for (std::int64_t i = 0; i < parameters; ++i)
    inputs.ranges.push_back({fmt::format("{}", i), {each}, i * each, each});
  inputs.elements = parameters * each;
  inputs.micro_batch_s = 0.3;
  inputs.micro_batch = 32;
  inputs.batch = 1024;
  inputs.steps = 100;
  inputs.checkpoint_every = 50;
  return inputs;
}

TEST(CostModel, rings_in_a_node_take_what_alpha_and_beta_say) {
  // 2 (n - 1) messages of bytes / n.
  EXPECT_NEAR(all_reduce_seconds(one_node(10, 5), 8, 80e6), 14 * (5e-6 + 10e6 / 10e9), 1e-12);
  EXPECT_NEAR(all_gather_seconds(one_node(10, 5), 8, 80e6), 7 * (5e-6 + 10e6 / 10e9), 1e-12);
  EXPECT_EQ(all_reduce_seconds(one_node(10, 5), 1, 80e6), 0.0);
}

TEST(CostModel, trees_take_over_where_latency_is_most) {
  CostAssumptions assumed;
  // A kilobyte on 4,096 GPUs: two turns around a ring are 1,024 messages between nodes and 7,000 in them, a
  // tree of 512 nodes is 18 and 14.
  EXPECT_NEAR(all_reduce_seconds(assumed, 4096, 1e3), 18 * 8e-6 + 14 * 3e-6 + 2e3 / 360e9, 1e-9);
  // Two nodes and many bytes: the bandwidth of eight cards, or of the GPU's own links if that is less.
  EXPECT_NEAR(all_reduce_seconds(assumed, 16, 1e10), 2 * 15.0 / 16 * 1e10 / 360e9, 1e-3);
  assumed.network_gb_s = 10;
  EXPECT_NEAR(all_reduce_seconds(assumed, 16, 1e10), 2 * 15.0 / 16 * 1e10 / 80e9, 1e-3);
}

TEST(CostModel, exposes_the_last_bucket_on_a_fast_link_and_all_but_backward_on_a_slow_one) {
  const std::vector<double> four(4, 1.0);
  // Each is sent while the next is made.
  EXPECT_DOUBLE_EQ(exposed_seconds(4, four, std::vector<double>(4, 0.5)), 0.5);
  // The first leaves after one second; four of two seconds follow each other.
  EXPECT_DOUBLE_EQ(exposed_seconds(4, four, std::vector<double>(4, 2.0)), 1 + 8 - 4);
  EXPECT_DOUBLE_EQ(exposed_seconds(0, four, std::vector<double>(4, 2.0)), 8);
}

TEST(CostModel, expects_the_largest_of_normal_numbers_as_drawn) {
  EXPECT_EQ(expected_largest(1), 0.0);
  EXPECT_NEAR(expected_largest(2), 1 / std::sqrt(M_PI), 0.03);  // exact
  RandomStream stream(5);
  for (const int n : {8, 64, 512}) {
    double sum = 0;
    constexpr int kTries = 2000;
    for (int i = 0; i < kTries; ++i) {
      double largest = -100;
      for (int k = 0; k < n; ++k) largest = std::max(largest, stream.normal());
      sum += largest;
    }
    EXPECT_NEAR(expected_largest(n), sum / kTries, 0.04) << n;
  }
}

TEST(CostModel, one_rank_only_computes_and_updates_and_more_ranks_share_the_windows) {
  const CostInputs inputs = inputs_of(100, 1'000'000);
  const StepCost alone = step_cost(inputs, {}, 1), shared = step_cost(inputs, {}, 32);
  EXPECT_NEAR(alone.compute, 32 * 0.3, 1e-12);
  EXPECT_EQ(alone.exposed, 0.0);
  EXPECT_EQ(alone.stragglers, 0.0);
  EXPECT_NEAR(alone.update, 9 * 4e8 / 2500e9, 1e-9);
  EXPECT_NEAR(shared.compute, 0.3, 1e-12);
  EXPECT_GT(shared.exposed, 0.0);
  EXPECT_NEAR(shared.stragglers, 0.3 * 0.02 * expected_largest(32), 1e-12);
  // Fewer windows than a micro-batch has: smaller ones.
  EXPECT_NEAR(step_cost(inputs, {}, 1024).compute, 0.3 / 32, 1e-12);
}

TEST(CostModel, a_shared_out_optimizer_updates_less_and_gathers) {
  CostInputs inputs = inputs_of(100, 1'000'000);
  const CostAssumptions assumed;
  inputs.zero = 1;
  EXPECT_NEAR(step_cost(inputs, assumed, 8).update,
              4e8 * (1 + 8 / 8.0) / 2500e9 + all_gather_seconds(assumed, 8, 4e8), 1e-9);
}

TEST(CostModel, shares_of_gradients_travel_one_sum_a_rank_for_every_micro_batch_and_wait_for_room) {
  const std::vector<double> four(4, 1.0);
  // The first leaves at 1 and is sent at 3, the others follow each other; with room for two the third is made
  // from 3 to 4 and the fourth from 5 to 6, still ahead of the link.
  EXPECT_DOUBLE_EQ(exposed_seconds(4, four, std::vector<double>(4, 2.0), 2), 9 - 4);
  // With room for one, nothing overlaps.
  EXPECT_DOUBLE_EQ(exposed_seconds(4, four, std::vector<double>(4, 2.0), 1), 8);
  EXPECT_DOUBLE_EQ(exposed_seconds(4, four, std::vector<double>(4, 0.5), 2), 0.5);
  CostInputs inputs = inputs_of(1, 1'000'000);  // one bucket
  inputs.micro_batch = 32;
  inputs.batch = 32 * 8 * 5;  // five micro-batches on each of eight ranks
  const CostAssumptions assumed;
  inputs.zero = 2;
  // Eight chains of seven hops, each with an eighth of the bytes.
  const auto shares = [&](double bytes) {
    return 8 * (7e-6 * assumed.node_latency_us + bytes / 8 / (1e9 * assumed.node_gb_s));
  };
  EXPECT_NEAR(step_cost(inputs, assumed, 8).exposed, 5 * shares(4e6), 1e-12);
  EXPECT_NEAR(step_cost(inputs, assumed, 8).update,
              4e6 * (1 / 8.0 + 8 / 8.0) / 2500e9 + all_gather_seconds(assumed, 8, 4e6), 1e-12);
  inputs.gradient_bytes = 2;
  EXPECT_NEAR(step_cost(inputs, assumed, 8).exposed, 5 * shares(2e6), 1e-12);
  inputs.zero = 0;
  EXPECT_NEAR(step_cost(inputs, assumed, 8).exposed, all_reduce_seconds(assumed, 8, 2e6), 1e-12);
}

TEST(CostModel, shares_within_a_node_have_its_latencies_and_cross_the_network_with_one_card_each) {
  CostInputs inputs = inputs_of(1, 1'000'000);  // one bucket
  inputs.micro_batch = 32;
  inputs.batch = 32 * 32 * 3;  // three micro-batches on each of 32 ranks
  inputs.zero = 2;
  inputs.sharers = 8;
  const CostAssumptions assumed;
  // Eight chains of seven hops in the node, each with an eighth of the bytes, which then pass between four
  // nodes: by trees of two levels up and down.
  const double piece = 4e6 / 8;
  const double in_node = 7e-6 * assumed.node_latency_us + piece / (1e9 * assumed.node_gb_s),
               across = 4e-6 * assumed.network_latency_us + 2 * piece / (1e9 * assumed.network_gb_s),
               ring = 6e-6 * assumed.network_latency_us + 1.5 * piece / (1e9 * assumed.network_gb_s);
  EXPECT_NEAR(step_cost(inputs, assumed, 32).exposed, 3 * 8 * (in_node + std::min(across, ring)), 1e-12);
  // The weights are gathered in the node, on 32 ranks as on 8.
  const double update = 4e6 * (1 / 8.0 + 8 / 8.0) / 2500e9 + all_gather_seconds(assumed, 8, 4e6);
  EXPECT_NEAR(step_cost(inputs, assumed, 32).update, update, 1e-12);
  EXPECT_NEAR(step_cost(inputs, assumed, 8).update, update, 1e-12);
  // Four ranks are no whole node: they share out among themselves.
  inputs.zero = 1;
  EXPECT_NEAR(step_cost(inputs, assumed, 4).update,
              4e6 * (1 + 8 / 4.0) / 2500e9 + all_gather_seconds(assumed, 4, 4e6), 1e-12);
}

TEST(CostModel, storage_and_failures_cost_what_does_not_run_beside_the_steps) {
  CostInputs inputs = inputs_of(10, 1'000'000);
  CostAssumptions assumed;
  EXPECT_EQ(step_cost(inputs, assumed, 8).storage, 0.0);
  inputs.bytes_read_a_step = 1e13;  // 100 s at 100 GB/s
  EXPECT_NEAR(step_cost(inputs, assumed, 8).storage, 100, 2);
  inputs.bytes_read_a_step = 0;
  assumed.mtbf_hours = 1;
  const StepCost step = step_cost(inputs, assumed, 8);
  const double good = step.total() - step.failures;
  EXPECT_NEAR(step.failures, good * 8 / 3600 * (25 * good + 300), 1e-9);
}

TEST(CostModel, assumptions_are_named_and_checked) {
  CostAssumptions assumed;
  assumed.set("network_gb_s=12.5");
  EXPECT_EQ(assumed.network_gb_s, 12.5);
  const std::vector<std::string> all = assumed.list();
  EXPECT_NE(std::ranges::find(all, std::string("network_gb_s=12.5")), all.end());
  for (const char* wrong : {"network_gbs=3", "network_gb_s", "network_gb_s=x", "network_gb_s=0", "jitter=-1",
                            "backward=1.5", "gpus_per_node=0.5", "gpu_hour=nan"})
    EXPECT_THROW(assumed.set(wrong), Error) << wrong;
  try {
    assumed.set("network_gbs=3");
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("network_gb_s"), std::string::npos) << error.what();
  }
}

TEST(CostModel, the_table_has_both_ways_to_grow_and_every_assumption) {
  const std::string text = describe_cost(inputs_of(100, 1'000'000), {}, 16);
  EXPECT_NE(text.find("4096"), std::string::npos) << text;
  CostAssumptions assumed;
  assumed.set("micro_batch_s=0.3");  // what was measured
  for (const std::string& assumption : assumed.list())
    EXPECT_NE(text.find(assumption), std::string::npos) << assumption;
}

}  // namespace
}  // namespace shelfcast::trainer
