// Micro-batches as graphs, on a twin of CUDA's in host memory.
#include "trainer/micro_batch_graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/transfer.h"
#include "parallel/flat_buffers.h"
#include "tests/models/small_models.h"
#include "tests/trainer/training_fixture.h"

namespace shelfcast::trainer {
namespace {

using models::DemandModel;
using models::LossSums;

// Taken down: nothing is computed. Done again: the work, which finds what it needs where it did before.
class GraphTwin : public DeviceGraph {
 public:
  explicit GraphTwin(std::vector<std::string>& calls) : calls_(calls) {}
  void record(const std::function<void()>& work) override {
    calls_.emplace_back("record");
    work_ = work;
  }
  void replay() override {
    calls_.emplace_back("replay");
    work_();
  }

 private:
  std::vector<std::string>& calls_;
  std::function<void()> work_;
};

// Runs what it takes down, as the host does, and not only what it does again.
class GraphThatLooks : public GraphTwin {
 public:
  using GraphTwin::GraphTwin;
  void record(const std::function<void()>& work) override {
    GraphTwin::record(work);
    work();
  }
};

constexpr std::int64_t kWindows = 4;

MicroBatch micro_batch(const models::DemandModelConfig& config, std::int64_t number) {
  at::manual_seed(static_cast<std::uint64_t>(100 + number));
  MicroBatch batch{models::testing::small_batch(config, kWindows),
                   models::testing::small_targets(config, kWindows),
                   {3, number / 2, {}}};
  for (std::int64_t row = 0; row < kWindows; ++row) batch.keys.sample_b.push_back(kWindows * number + row);
  return batch;
}

std::vector<parallel::FlatParameter> flat(const DemandModel& model) {
  std::vector<parallel::FlatParameter> all;
  for (const models::Parameter& parameter : model.parameters())
    all.push_back({parameter.name, parameter.tensor});
  return all;
}

LossSums learn(const DemandModel& model, const MicroBatch& batch) {
  LossSums sums = models::loss_sums(model.forward(batch.inputs, &batch.keys), batch.targets, model.config());
  sums.loss.backward();
  return sums;
}

TEST(MicroBatchGraph, gives_the_losses_and_gradients_of_micro_batches_computed_one_by_one) {
  const models::DemandModelConfig config = models::testing::small_config();
  const DemandModel ours(config, 7), theirs(config, 7);
  parallel::FlatBuffers own(flat(ours)), expected(flat(theirs));
  std::vector<std::string> calls;
  std::vector<const void*> places;
  MicroBatchGraph graph(std::make_unique<GraphTwin>(calls), at::kCPU, [&](const MicroBatch& batch) {
    places.push_back(batch.inputs.context_bt.const_data_ptr());
    return learn(ours, batch);
  });
  std::vector<LossSums> sums;
  for (std::int64_t number = 0; number < 6; ++number) {
    const LossSums theirs_now = learn(theirs, micro_batch(config, number));
    sums.push_back(graph.run(micro_batch(config, number)));
    EXPECT_EQ(sums.back().loss.item<float>(), theirs_now.loss.item<float>()) << number;
    EXPECT_EQ(sums.back().valid_targets.item<double>(), theirs_now.valid_targets.item<double>()) << number;
    EXPECT_TRUE(at::equal(own.gradients(), expected.gradients())) << number;
  }
  EXPECT_THAT(calls, ::testing::ElementsAre("record", "replay", "replay", "replay", "replay"));
  EXPECT_THAT(places, ::testing::Each(places.front()));
  // Sums that were handed out are not those of the next micro-batch.
  EXPECT_NE(sums[4].loss.item<float>(), sums[5].loss.item<float>());
}

TEST(MicroBatchGraph, work_that_changes_is_never_taken_down) {
  const models::DemandModelConfig config = models::testing::small_config();
  std::vector<std::string> calls;
  std::int64_t table = 0;
  MicroBatchGraph graph(std::make_unique<GraphTwin>(calls), at::kCPU, [&](const MicroBatch&) {
    (void)models::sent(std::vector<std::int64_t>{table++}, at::kMeta);
    return LossSums{at::full({}, static_cast<double>(table)), at::ones({}, at::kDouble)};
  });
  ::testing::internal::CaptureStderr();
  for (std::int64_t number = 0; number < 5; ++number)
    EXPECT_EQ(graph.run(micro_batch(config, number)).loss.item<double>(), static_cast<double>(number + 1));
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(calls, ::testing::IsEmpty());
  EXPECT_EQ(said.find("train.cuda_graphs does nothing here"),
            said.rfind("train.cuda_graphs does nothing here"));
  EXPECT_THAT(said, ::testing::HasSubstr("a table of 1 numbers changes"));
}

TEST(MicroBatchGraph, a_change_that_is_seen_only_while_it_is_taken_down_is_not_repeated) {
  const models::DemandModelConfig config = models::testing::small_config();
  std::vector<std::string> calls;
  std::int64_t computed = 0;
  // Taking down is work, too, but none that is done.
  MicroBatchGraph graph(std::make_unique<GraphThatLooks>(calls), at::kCPU, [&](const MicroBatch&) {
    (void)models::sent(std::vector<std::int64_t>{++computed / 3}, at::kMeta);
    return LossSums{at::full({}, static_cast<double>(computed)), at::ones({}, at::kDouble)};
  });
  for (const double expected : {1.0, 2.0, 4.0, 5.0})
    EXPECT_EQ(graph.run(micro_batch(config, 0)).loss.item<double>(), expected);
  EXPECT_THAT(calls, ::testing::ElementsAre("record"));
}

// Everything that a training does with a micro-batch beside its forward and backward, on ranks whose last
// micro-batch of a step sends and is no graph, through a resume.
TEST_F(Training, of_graphs_is_the_same_to_the_bit) {
  const std::vector<std::string> settings = {"train.cuda_graphs=true",
                                             "train.micro_batch=4",
                                             "train.steps=8",
                                             "train.checkpoint_every=4",
                                             "train.activation_checkpointing=true",
                                             "train.masked=0.2",
                                             "model.heads.masked=true",
                                             "model.loss.masked=0.5",
                                             "train.augment={share: 0.5, scale: 0.2, mix: 0.3}"};
  for (const int ranks : {1, 2}) {
    const std::string plain = fmt::format("plain-{}", ranks), graphs = fmt::format("graphs-{}", ranks);
    train_on(ranks, recipe(plain, settings));
    std::vector<std::vector<std::string>> calls(8);  // of ranks, before and after
    std::atomic<std::size_t> next = 0;
    TrainOptions options;
    options.make_graph = [&] { return std::make_unique<GraphTwin>(calls.at(next++)); };
    options.stop_after = 5;
    train_on(ranks, recipe(graphs, settings), options);
    options.stop_after.reset();
    options.resume = Resume::required;
    train_on(ranks, recipe(graphs, settings), options);
    EXPECT_EQ(weights(graphs), weights(plain)) << ranks;
    // Of a step's 24 windows: six micro-batches on one rank, three on each of two, the last of which sends.
    const std::size_t of_step = ranks == 1 ? 6 : 2;
    for (int rank = 0; rank < ranks; ++rank) {
      EXPECT_EQ(calls.at(static_cast<std::size_t>(rank)).size(), 5 * of_step - 2 + 1) << ranks;
      EXPECT_EQ(calls.at(static_cast<std::size_t>(ranks + rank)).size(), 3 * of_step - 2 + 1) << ranks;
    }
  }
}

}  // namespace
}  // namespace shelfcast::trainer
