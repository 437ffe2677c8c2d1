// ZeRO: each rank holds a share of the optimizer's state (stage 1) and of the gradients (stage 2), and not
// one bit of the training tells, or, where stage 2 adds up micro-batches, no more than rounding.
#include <set>

#include "parallel/buckets.h"
#include "tests/support/paths.h"
#include "tests/trainer/training_fixture.h"
#include "trainer/optimizer.h"
#include "trainer/requirements.h"

namespace shelfcast::trainer {
namespace {

class ShardedOptimizer : public Training {
 protected:
  // Clipping and accumulation at work; micro-batches that do not divide a rank's windows.
  Recipe zero(int stage, const std::string& run, std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {fmt::format("parallel.zero={}", stage), "train.micro_batch=5",
                               "train.clip=0.5", "train.steps=20", "train.log_every=1"});
    return recipe(run, more);
  }
  static std::string published_weights() {
    return "model.weights=" + (shelfcast::testing::source_dir() / "tests/golden/bolt/wide_heads").string();
  }
  // A run on two ranks to begin with.
  std::string trained_start() const {
    train_on(2, zero(0, "start"));
    return "run.start=" + (folder_ / "start").string();
  }
  std::vector<double> norms(const std::string& run) const {
    std::vector<double> all;
    for (const nlohmann::json& line : read_lines(folder_ / run / "metrics.jsonl"))
      if (line.contains("gradient_norm")) all.push_back(line.at("gradient_norm").get<double>());
    return all;
  }
  void expect_same_training(const std::string& a, const std::string& b) const {
    EXPECT_EQ(weights(a), weights(b)) << a << " and " << b;
    EXPECT_EQ(norms(a), norms(b)) << a << " and " << b;
    EXPECT_FALSE(norms(a).empty());
  }
};

TEST_F(ShardedOptimizer, trains_to_the_same_bits_with_all_that_it_can_be_combined_with) {
  const std::string published = published_weights(), start = trained_start();
  const std::vector<std::vector<std::string>> settings = {
      {},
      {"train.ema=0.9"},
      {"train.precision=bf16"},
      {"train.optimizer.name=sgd"},
      {"train.optimizer.name=sgd", "train.optimizer.momentum=0"},
      {published, "tune.method=top"},
      {published, "tune.method=lora", "tune.rank=2"},
      {start, "train.ewc.strength=10"},
      {"parallel.bucket_mb=1", "train.guard.action=skip", "train.guard.spike=1.01", "train.steps=30"},
  };
  for (std::size_t i = 0; i < settings.size(); ++i) {
    for (const int ranks : i == 0 ? std::vector{2, 3} : std::vector{2}) {
      const std::string whole = fmt::format("whole-{}-on-{}", i, ranks),
                        shares = fmt::format("shares-{}-on-{}", i, ranks);
      train_on(ranks, zero(0, whole, settings[i]));
      train_on(ranks, zero(1, shares, settings[i]));
      expect_same_training(whole, shares);
    }
  }
  const std::string last = fmt::format("shares-{}-on-2", settings.size() - 1);
  EXPECT_GT(Checkpoints(folder_ / last / "checkpoints").read_state(30).skipped, 0);
}

TEST_F(ShardedOptimizer, shares_of_gradients_train_to_the_same_bits_with_all_they_can_be_combined_with) {
  const std::string published = published_weights(), start = trained_start();
  const std::vector<std::vector<std::string>> settings = {
      {},
      {"train.ema=0.9"},
      {"train.precision=bf16", "train.activation_checkpointing=true"},
      {"train.optimizer.name=sgd", "parallel.bucket_mb=auto"},
      {published, "tune.method=adapter"},
      {published, "tune.method=heads", "train.early_stop=1", "train.validate_every=5"},
      {published, "tune.method=prefix"},
      {published, "tune.method=adalora", "tune.rank=4", "tune.budget.target=2", "tune.budget.warmup=5",
       "tune.budget.final=5", "tune.budget.every=2"},
      {start, "train.ewc.strength=10"},
      {"parallel.bucket_mb=1", "train.guard.action=skip", "train.guard.spike=1.01", "train.steps=30"},
      {"parallel.compress=bf16"},
      {"parallel.hierarchical=true", "parallel.node_ranks=2"},
  };
  for (std::size_t i = 0; i < settings.size(); ++i) {
    std::vector<std::string> one_micro_batch = settings[i];
    one_micro_batch.emplace_back("train.micro_batch=12");
    for (const int ranks : i == 0 ? std::vector{1, 2, 3, 5} : std::vector{i + 1 == settings.size() ? 3 : 2}) {
      const std::string whole = fmt::format("all-{}-on-{}", i, ranks),
                        shares = fmt::format("parts-{}-on-{}", i, ranks);
      train_on(ranks, zero(0, whole, one_micro_batch));
      train_on(ranks, zero(2, shares, one_micro_batch));
      expect_same_training(whole, shares);
    }
  }
  EXPECT_GT(Checkpoints(folder_ / "parts-9-on-2" / "checkpoints").read_state(30).skipped, 0);
}

TEST_F(ShardedOptimizer, shares_of_gradients_of_several_micro_batches_or_backwards_change_rounding_alone) {
  const std::vector<std::vector<std::string>> settings = {
      {}, {"train.adversarial.method=pgd", "train.adversarial.steps=2"}, {"train.adversarial.method=fgm"}};
  for (std::size_t i = 0; i < settings.size(); ++i) {
    const std::string whole = fmt::format("sum-{}", i), shares = fmt::format("sums-{}", i);
    std::vector<std::string> more = settings[i];
    // Without the optimizer's divisions by its moments, which make much of last bits.
    more.insert(more.end(), {"train.optimizer.name=sgd", "train.optimizer.lr=1e-2"});
    train_on(2, zero(0, whole, more));
    train_on(2, zero(2, shares, more));
    EXPECT_LT(relative_distance(weights(whole), weights(shares)), 1e-5) << i;
    const std::vector<double> expected = norms(whole), found = norms(shares);
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t step = 0; step < found.size(); ++step)
      EXPECT_NEAR(found[step], expected[step], 1e-4 * expected[step]) << i << ", step " << step;
  }
}

TEST_F(ShardedOptimizer, what_has_other_last_bits_still_resumes_to_the_bit_and_notes_how_it_added_up) {
  const std::vector<std::string> settings = {"parallel.compress=bf16", "parallel.hierarchical=true",
                                             "parallel.node_ranks=2"};
  train_on(3, zero(2, "through", settings));
  train_on(3, zero(2, "halves", settings), {.resume = Resume::never, .stop_after = 10});
  EXPECT_EQ(Checkpoints(folder_ / "halves" / "checkpoints").read_conditions(10).at("gradients"),
            "shares of every micro-batch, in bf16, by nodes of 2");
  train_on(3, zero(2, "halves", settings), {.resume = Resume::required, .stop_after = {}});
  expect_same_training("through", "halves");
}

TEST_F(ShardedOptimizer, gradients_in_bf16_train_to_nearly_the_same) {
  train_on(2, zero(0, "exact"));
  train_on(2, zero(0, "rounded", {"parallel.compress=bf16"}));
  const std::vector<double> expected = norms("exact"), found = norms("rounded");
  // Roundings of 1 in 256 at most, which point anywhere: a norm hardly feels them.
  EXPECT_NEAR(found[0], expected[0], 1e-3 * expected[0]);
  EXPECT_NE(found[0], expected[0]);
  EXPECT_LT(relative_distance(weights("exact"), weights("rounded")), 0.05);
}

TEST_F(ShardedOptimizer, goes_on_from_shares_of_other_ranks_and_from_none_to_the_bit) {
  // Ranks and stage of the first ten steps, and of the last ten.
  struct Half {
    int ranks, stage;
  };
  // One micro-batch a step, so that stage 2 has its bits, too.
  const std::vector<std::string> settings = {"train.ema=0.9", "train.micro_batch=24"};
  const auto train_halves = [&](const std::string& run, Half first, Half second) {
    train_on(first.ranks, zero(first.stage, run, settings), {.resume = Resume::never, .stop_after = 10});
    train_on(second.ranks, zero(second.stage, run, settings), {.resume = Resume::required, .stop_after = {}});
  };
  for (const auto& [from, to] : std::vector<std::pair<int, int>>{{3, 3}, {2, 3}, {2, 1}}) {
    const auto name = [&, from = from, to = to](const char* what) {
      return fmt::format("{}-{}-{}", what, from, to);
    };
    train_halves(name("whole"), {from, 0}, {to, 0});
    train_halves(name("shares"), {from, 1}, {to, 1});
    train_halves(name("shares-whole"), {from, 1}, {to, 0});
    train_halves(name("whole-shares"), {from, 0}, {to, 1});
    train_halves(name("gradients"), {from, 2}, {to, 2});
    train_halves(name("gradients-whole"), {from, 2}, {to, 0});
    train_halves(name("shares-gradients"), {from, 1}, {to, 2});
    for (const char* other :
         {"shares", "shares-whole", "whole-shares", "gradients", "gradients-whole", "shares-gradients"})
      expect_same_training(name("whole"), name(other));
  }
}

TEST_F(ShardedOptimizer, shares_within_a_node_train_to_the_same_bits_with_all_they_can_be_combined_with) {
  const std::string published = published_weights(), start = trained_start();
  const std::vector<std::vector<std::string>> settings = {
      {"train.ema=0.9"},
      {"parallel.compress=bf16"},
      {published, "tune.method=adalora", "tune.rank=4", "tune.budget.target=2", "tune.budget.warmup=5",
       "tune.budget.final=5", "tune.budget.every=2"},
      {start, "train.ewc.strength=10"},
      {"parallel.bucket_mb=1", "train.guard.action=skip", "train.guard.spike=1.01", "train.steps=30"},
  };
  const auto with = [](std::vector<std::string> more, const std::vector<std::string>& others) {
    more.insert(more.end(), others.begin(), others.end());
    more.emplace_back("train.micro_batch=12");
    return more;
  };
  const std::vector<std::string> node = {"parallel.zero_within=node", "parallel.node_ranks=2"},
                                 sums = {"parallel.hierarchical=true", "parallel.node_ranks=2"};
  for (std::size_t i = 0; i < settings.size(); ++i) {
    const auto name = [&](const char* what) { return fmt::format("{}-{}", what, i); };
    // Whole gradients are summed over all ranks, whoever keeps the optimizer's state; shares by node.
    train_on(4, zero(0, name("flat"), with({}, settings[i])));
    train_on(4, zero(1, name("state"), with(node, settings[i])));
    expect_same_training(name("flat"), name("state"));
    train_on(4, zero(0, name("by-node"), with(sums, settings[i])));
    train_on(4, zero(2, name("in-node"), with(node, settings[i])));
    expect_same_training(name("by-node"), name("in-node"));
  }
  EXPECT_GT(Checkpoints(folder_ / "in-node-4" / "checkpoints").read_state(30).skipped, 0);
}

TEST_F(ShardedOptimizer, shares_within_a_node_are_written_once_and_read_by_any_ranks) {
  const std::vector<std::string> one = {"train.ema=0.9", "train.micro_batch=24"};
  std::vector<std::string> node = one, hosts = one;
  node.insert(node.end(), {"parallel.zero_within=node", "parallel.node_ranks=2"});
  hosts.emplace_back("parallel.zero_within=node");  // all threads are on one
  const auto stop_at_10 = [](Resume resume) { return TrainOptions{.resume = resume, .stop_after = 10}; };
  train_on(4, zero(1, "through", one));
  for (const auto& [first, second] :
       {std::pair(node, node), std::pair(node, one), std::pair(one, node), std::pair(hosts, node)}) {
    std::filesystem::remove_all(folder_ / "halves");
    train_on(4, zero(1, "halves", first), stop_at_10(Resume::never));
    std::set<std::uintmax_t> sizes;
    for (int rank = 0; rank < 4; ++rank)
      sizes.insert(
          std::filesystem::file_size(folder_ / "halves" / "checkpoints" / "10" / optimizer_file(rank, 4)));
    EXPECT_LT(*sizes.rbegin() - *sizes.begin(), 4096U);  // each a quarter, but for names
    train_on(4, zero(1, "halves", second), {.resume = Resume::required, .stop_after = {}});
    expect_same_training("through", "halves");
  }
  // Stage 2, and on other ranks.
  train_on(4, zero(2, "four", node), stop_at_10(Resume::never));
  train_on(2, zero(2, "four", hosts), {.resume = Resume::required, .stop_after = {}});
  std::vector<std::string> sums = one;
  sums.insert(sums.end(), {"parallel.hierarchical=true", "parallel.node_ranks=2"});
  train_on(4, zero(0, "whole", sums), stop_at_10(Resume::never));
  train_on(2, zero(0, "whole", one), {.resume = Resume::required, .stop_after = {}});
  expect_same_training("four", "whole");
}

TEST_F(ShardedOptimizer, remembers_one_share_and_updates_nothing_beyond_it) {
  for (const char* name : {"adamw", "sgd"}) {
    const OptimizerConfig config{.name = name};
    constexpr int kRanks = 3;
    const auto make_buffers = [] {
      at::manual_seed(2);
      return parallel::FlatBuffers({{"a", at::randn({40'000}).set_requires_grad(true)},
                                    {"b", at::randn({7, 11}).set_requires_grad(true)}},
                                   kRanks);
    };
    parallel::FlatBuffers all = make_buffers();
    const auto whole = make_optimizer(config, all);
    std::vector<parallel::FlatBuffers> parts;
    std::vector<std::unique_ptr<Optimizer>> shares;
    for (int rank = 0; rank < kRanks; ++rank) parts.push_back(make_buffers());
    for (int rank = 0; rank < kRanks; ++rank)
      shares.push_back(make_optimizer(config, parts[static_cast<std::size_t>(rank)],
                                      parallel::slice_of(all.elements(), kRanks, rank)));
    const at::Tensor before = all.values().clone();
    for (int step = 0; step < 3; ++step) {
      const at::Tensor gradient = at::sin(at::arange(all.elements(), at::kFloat) * (step + 1));
      all.gradients().copy_(gradient);
      whole->step(1e-2, 0.5);
      for (std::size_t rank = 0; rank < kRanks; ++rank) {
        parts[rank].gradients().copy_(gradient);
        shares[rank]->step(1e-2, 0.5);
      }
    }
    for (int rank = 0; rank < kRanks; ++rank) {
      const parallel::Slice own = parallel::slice_of(all.elements(), kRanks, rank);
      const parallel::FlatBuffers& part = parts[static_cast<std::size_t>(rank)];
      EXPECT_EQ(own.size() * kRanks, all.elements());
      for (const OptimizerState& state : shares[static_cast<std::size_t>(rank)]->state())
        EXPECT_EQ(state.values.numel(), own.size());
      at::Tensor expected = before.clone();
      expected.narrow(0, own.begin, own.size()).copy_(all.values().narrow(0, own.begin, own.size()));
      EXPECT_TRUE(at::equal(part.values(), expected)) << name << ", rank " << rank;
      for (const at::Tensor& tensor : part.tensors())
        EXPECT_EQ(tensor.grad().abs().max().item<float>(), 0.0F);
    }
  }
}

TEST_F(ShardedOptimizer, takes_the_memory_that_check_foretells) {
  const auto of = [](const Requirements& needs, const std::string& cause) {
    for (const auto& [name, bytes] : needs.memory)
      if (name == cause) return bytes;
    return std::int64_t{-1};
  };
  const Requirements whole = estimate_requirements(zero(0, "unused"), 4),
                     shares = estimate_requirements(zero(1, "unused"), 4),
                     parts = estimate_requirements(zero(2, "unused"), 4);
  EXPECT_EQ(of(whole, "optimizer"), 2 * 4 * whole.trainable);
  EXPECT_EQ(of(shares, "optimizer"), of(whole, "optimizer") / 4);
  EXPECT_EQ(of(shares, "gradients"), of(whole, "gradients"));
  EXPECT_EQ(of(parts, "optimizer"), of(shares, "optimizer"));
  EXPECT_EQ(of(parts, "gradients"), of(whole, "gradients") / 4);
  // On one host two buckets, else what the other ranks send of them, too; of whole gradients what they send,
  // and copies where they are rounded.
  std::int64_t largest = 0;
  for (const parallel::Bucket& bucket : parallel::cut_buckets(parts.ranges, parts.elements, 25'000'000))
    largest = std::max(largest, bucket.elements);
  CostAssumptions two_hosts;
  two_hosts.gpus_per_node = 2;
  const std::vector<std::string> bf16 = {"parallel.compress=bf16"};
  const auto sums = [&](int stage, const std::vector<std::string>& overrides,
                        const CostAssumptions& assumed) {
    return of(estimate_requirements(zero(stage, "unused", overrides), 4, assumed), "gradient sums");
  };
  EXPECT_EQ(of(whole, "gradient sums"), 0);
  EXPECT_EQ(sums(0, {}, two_hosts), 4 * whole.elements);
  EXPECT_EQ(sums(0, bf16, {}), 2 * whole.elements);
  EXPECT_EQ(sums(0, bf16, two_hosts), 2 * 2 * whole.elements);
  EXPECT_EQ(of(parts, "gradient sums"), 2 * 4 * largest);
  EXPECT_EQ(sums(2, {}, two_hosts), 4 * 4 * largest);
  EXPECT_EQ(sums(2, bf16, {}), 2 * 2 * largest);
  EXPECT_EQ(sums(2, bf16, two_hosts), 4 * 2 * largest);
  // Within nodes of two each holds a half, whether the recipe or the assumption says what a node is.
  for (const auto& [overrides, assumed] :
       {std::pair(std::vector<std::string>{"parallel.zero_within=node", "parallel.node_ranks=2"},
                  CostAssumptions()),
        std::pair(std::vector<std::string>{"parallel.zero_within=node"}, two_hosts)}) {
    const Requirements halves = estimate_requirements(zero(2, "unused", overrides), 4, assumed);
    EXPECT_EQ(of(halves, "gradients"), of(whole, "gradients") / 2);
    EXPECT_EQ(of(halves, "optimizer"), of(whole, "optimizer") / 2);
    EXPECT_EQ(cost_inputs(halves, zero(2, "unused", overrides)).sharers, 2);
  }
}

TEST_F(ShardedOptimizer, what_cannot_be_sharded_is_refused_by_name) {
  for (const int stage : {1, 2}) {
    const std::string factored = message_of([&] { zero(stage, "x", {"train.optimizer.name=adafactor"}); });
    EXPECT_NE(factored.find(fmt::format("parallel.zero is {}", stage)), std::string::npos) << factored;
    EXPECT_NE(factored.find("adafactor"), std::string::npos) << factored;
  }
  const std::string stage = message_of([&] { zero(3, "x"); });
  EXPECT_NE(stage.find("parallel.zero: stage 3"), std::string::npos) << stage;
  const std::string format = message_of([&] { zero(0, "x", {"parallel.compress=fp8"}); });
  EXPECT_NE(format.find("one of none, bf16"), std::string::npos) << format;
  const std::string nodes = message_of([&] { zero(0, "x", {"parallel.node_ranks=2"}); });
  EXPECT_NE(nodes.find("parallel.node_ranks is 2, but parallel.hierarchical is false"), std::string::npos)
      << nodes;
  const std::string nothing = message_of([&] { zero(0, "x", {"parallel.zero_within=node"}); });
  EXPECT_NE(nothing.find("parallel.zero_within is node, but parallel.zero is 0"), std::string::npos)
      << nothing;
  const Recipe threes = zero(1, "x", {"parallel.zero_within=node", "parallel.node_ranks=3"});
  for (const auto& call : std::vector<std::function<void()>>{[&] { train_on(4, threes); },
                                                             [&] { estimate_requirements(threes, 4); }}) {
    const std::string uneven = message_of(call);
    EXPECT_NE(uneven.find("4 ranks are not whole nodes of 3"), std::string::npos) << uneven;
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "x"));
}

}  // namespace
}  // namespace shelfcast::trainer
