// What the events of a ledger add up to, and what halving makes of it.
#include "trainer/sweep/sweep_state.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/random.h"
#include "tests/trainer/sweep_fixture.h"

namespace shelfcast::trainer {
namespace {

// Every run of the plan, on its first rung.
nlohmann::json submitting(const SweepPlan& plan, std::int64_t number, std::int64_t tasks) {
  nlohmann::json segments = nlohmann::json::array();
  for (const PlannedRun& run : plan.runs) segments.push_back({run.id, 0});
  return {{"event", "submitting"}, {"submission", number}, {"tasks", tasks}, {"segments", segments}};
}

// Plans without files: so many runs on so many rungs.
SweepPlan plan_of(std::size_t runs, std::vector<std::int64_t> rungs, HalvingConfig::Kind kind,
                  std::int64_t keep = 3) {
  SweepPlan plan;
  for (std::size_t i = 0; i < runs; ++i) plan.runs.push_back({fmt::format("run{}", i), {}, rungs.back(), 0});
  plan.rungs = std::move(rungs);
  plan.halving = {kind, plan.rungs.front(), keep};
  return plan;
}

nlohmann::json decided(const SweepPlan& plan, const Decision& decision) {
  nlohmann::json promoted = nlohmann::json::array();
  for (const std::size_t run : decision.promoted) promoted.push_back(plan.runs[run].id);
  return {{"event", "decided"}, {"rung", decision.rung}, {"promoted", promoted}};
}

std::size_t decide_all(const SweepPlan& plan, SweepState& state) {
  std::size_t promoted = 0;
  for (Decision decision; state.decide(decision); promoted += decision.promoted.size())
    state.apply(decided(plan, decision));
  return promoted;
}

TEST(SweepState, synchronous_halving_waits_for_the_whole_rung_and_keeps_the_best) {
  const SweepPlan plan = plan_of(9, {10, 30, 90}, HalvingConfig::Kind::sync);
  SweepState state(plan);
  Decision decision;
  for (std::size_t run = 0; run < 9; ++run) {
    EXPECT_FALSE(state.decide(decision));
    state.apply(result(plan, run, 0, std::abs(static_cast<double>(run) - 4.2)));
  }
  ASSERT_TRUE(state.decide(decision));
  EXPECT_EQ(decision.promoted, (std::vector<std::size_t>{4, 5, 3}));
  state.apply(decided(plan, decision));
  EXPECT_FALSE(state.decide(decision));
  EXPECT_TRUE(state.unfinished(4));
  EXPECT_FALSE(state.unfinished(0));
  for (const std::size_t run : {3, 4, 5}) state.apply(result(plan, run, 1, run == 3 ? 0.1 : 1.0));
  ASSERT_TRUE(state.decide(decision));
  EXPECT_EQ(decision.promoted, std::vector<std::size_t>{3});
}

TEST(SweepState, the_order_in_which_results_come_changes_nothing) {
  const SweepPlan plan = plan_of(27, {10, 30, 90}, HalvingConfig::Kind::sync);
  std::set<std::vector<std::size_t>> promoted;
  for (std::uint64_t trial = 0; trial < 20; ++trial) {
    SweepState state(plan);
    const KeyedPermutation order(trial, 27);
    for (std::uint64_t i = 0; i < 27; ++i)
      state.apply(result(plan, order(i), 0, static_cast<double>((order(i) * 7) % 9)));  // with ties
    Decision decision;
    ASSERT_TRUE(state.decide(decision));
    promoted.insert(decision.promoted);
  }
  EXPECT_EQ(promoted.size(), 1u);
}

TEST(SweepState, what_failed_is_out_but_still_counts_for_the_size_of_the_rung) {
  const SweepPlan plan = plan_of(6, {10, 30}, HalvingConfig::Kind::sync);
  SweepState state(plan);
  for (std::size_t run = 0; run < 5; ++run) state.apply(result(plan, run, 0, static_cast<double>(run)));
  Decision decision;
  EXPECT_FALSE(state.decide(decision));
  state.apply(failed(plan, 5, 0));
  ASSERT_TRUE(state.decide(decision));
  EXPECT_EQ(decision.keeps, 2);
  EXPECT_EQ(decision.promoted, (std::vector<std::size_t>{0, 1}));
  // Rerun later and better than those promoted: it goes on, too.
  state.apply(decided(plan, decision));
  state.apply({{"event", "again"}, {"run", "run5"}});
  EXPECT_FALSE(state.decide(decision));
  state.apply(result(plan, 5, 0, -1.0));
  ASSERT_TRUE(state.decide(decision));
  EXPECT_EQ(decision.promoted, std::vector<std::size_t>{5});
}

TEST(SweepState, a_metric_that_is_not_finite_is_worse_than_any) {
  const SweepPlan plan = plan_of(3, {10, 30}, HalvingConfig::Kind::sync);
  SweepState state(plan);
  auto diverged = result(plan, 0, 0, 0);
  diverged["metric"] = nullptr;
  state.apply(diverged);
  state.apply(result(plan, 1, 0, 1e30));
  state.apply(result(plan, 2, 0, 2e30));
  Decision decision;
  ASSERT_TRUE(state.decide(decision));
  EXPECT_EQ(decision.promoted, std::vector<std::size_t>{1});
}

TEST(SweepState, however_few_there_are_one_goes_all_the_way) {
  for (const auto kind : {HalvingConfig::Kind::sync, HalvingConfig::Kind::async}) {
    const SweepPlan plan = plan_of(2, {10, 30, 90}, kind);
    SweepState state(plan);
    for (std::size_t run = 0; run < 2; ++run) state.apply(result(plan, run, 0, static_cast<double>(run)));
    EXPECT_EQ(decide_all(plan, state), 1u);
    state.apply(result(plan, 0, 1, 0.5));
    EXPECT_EQ(decide_all(plan, state), 1u);
    EXPECT_EQ(state.runs()[0].allowed, 2);
  }
}

// Brute force over many orders: at every moment those promoted are at least the best 1/keep of those
// finished, nobody is promoted without having been among them at some moment, and one reaches the top.
TEST(SweepState, asynchronous_halving_promotes_the_best_third_of_what_has_finished_so_far) {
  const SweepPlan plan = plan_of(27, {10, 30, 90}, HalvingConfig::Kind::async);
  for (std::uint64_t trial = 0; trial < 20; ++trial) {
    SweepState state(plan);
    RandomStream random(trial);
    std::vector<double> metrics;
    std::set<std::size_t> once_in_the_best_third;
    const KeyedPermutation order(trial + 100, 27);
    for (std::uint64_t i = 0; i < 27; ++i) {
      const double metric = random.uniform();
      state.apply(result(plan, order(i), 0, metric));
      metrics.push_back(metric);
      for (Decision decision; state.decide(decision); state.apply(decided(plan, decision)))
        EXPECT_EQ(decision.rung, 0);
      std::vector<std::size_t> best(metrics.size());
      for (std::size_t k = 0; k < best.size(); ++k) best[k] = k;
      std::sort(best.begin(), best.end(),
                [&](std::size_t a, std::size_t b) { return metrics[a] < metrics[b]; });
      for (std::size_t k = 0; k < metrics.size() / 3; ++k) {
        once_in_the_best_third.insert(order(best[k]));
        EXPECT_EQ(state.runs()[order(best[k])].allowed, 1);
      }
    }
    for (std::size_t run = 0; run < 27; ++run)
      EXPECT_EQ(state.runs()[run].allowed == 1, once_in_the_best_third.count(run) == 1);
  }
}

TEST(SweepState, a_worker_goes_on_with_what_it_had_begun_then_with_its_share) {
  const SweepPlan plan = plan_of(4, {10}, HalvingConfig::Kind::none);
  SweepState state(plan);
  state.apply(submitting(plan, 1, 2));
  Segment next;
  ASSERT_TRUE(state.next_for({1, 1}, next));
  EXPECT_EQ(next.run, 1u);
  state.apply(started(plan, 3, 0, {1, 1}));
  ASSERT_TRUE(state.next_for({1, 1}, next));
  EXPECT_EQ(next.run, 3u);
  state.apply(result(plan, 3, 0, 1));
  state.apply(result(plan, 1, 0, 1));
  EXPECT_FALSE(state.next_for({1, 1}, next));
  ASSERT_TRUE(state.next_for({1, 0}, next));
  EXPECT_EQ(next.run, 0u);
}

TEST(SweepState, in_asynchronous_halving_whoever_is_free_takes_the_highest_promoted_run) {
  const SweepPlan plan = plan_of(4, {10, 30}, HalvingConfig::Kind::async, 2);
  SweepState state(plan);
  state.apply(submitting(plan, 1, 4));
  state.apply(result(plan, 0, 0, 1));
  state.apply(result(plan, 1, 0, 2));
  decide_all(plan, state);
  Segment next;
  ASSERT_TRUE(state.next_for({1, 1}, next));
  EXPECT_EQ(next, (Segment{0, 1}));
  state.apply(started(plan, 0, 1, {1, 1}));
  EXPECT_FALSE(state.next_for({1, 0}, next));  // task 0's share is done, nobody else waits
  ASSERT_TRUE(state.next_for({1, 2}, next));
  EXPECT_EQ(next, (Segment{2, 0}));
}

TEST(SweepState, a_result_that_is_noted_twice_counts_once) {
  const SweepPlan plan = plan_of(2, {10, 30}, HalvingConfig::Kind::sync);
  SweepState state(plan);
  state.apply(result(plan, 0, 0, 1));
  state.apply(result(plan, 0, 0, 1));
  EXPECT_EQ(state.runs()[0].results.size(), 1u);
}

TEST(SweepState, who_was_stopped_or_failed_waits_until_submitted_again) {
  const SweepPlan plan = plan_of(2, {10}, HalvingConfig::Kind::none);
  SweepState state(plan);
  state.apply(submitting(plan, 1, 2));
  state.apply(started(plan, 0, 0, {1, 0}));
  state.apply({{"event", "left"}, {"run", "run0"}, {"why", kStopped}, {"submission", 1}, {"task", 0}});
  Segment next;
  EXPECT_FALSE(state.next_for({1, 0}, next));
  state.apply(submitting(plan, 2, 2));
  EXPECT_TRUE(state.next_for({2, 0}, next));
  // Near the time limit the same worker comes back.
  state.apply({{"event", "left"}, {"run", "run1"}, {"why", kTimeLimit}, {"submission", 2}, {"task", 1}});
  EXPECT_TRUE(state.next_for({2, 1}, next));
}

}  // namespace
}  // namespace shelfcast::trainer
