// Replay and elastic weight consolidation: what is drawn, what is held, that neither depends on how work is
// split, and that both keep what a later training would forget.
#include <ATen/Parallel.h>
#include <gmock/gmock.h>

#include <map>

#include "base/random.h"
#include "data/loader.h"
#include "tests/trainer/training_fixture.h"
#include "trainer/model_inputs.h"
#include "trainer/plan.h"
#include "trainer/trained_run.h"

namespace shelfcast::trainer {
namespace {

using ::testing::HasSubstr;

// Until step 100 demand is high on weekends, then on Mondays and Tuesdays.
float other_days(std::int64_t series, std::int64_t step, float demand) {
  if (std::isnan(demand)) return demand;
  const bool high = step < 100 ? step % 7 >= 5 : step % 7 <= 1;
  return static_cast<float>(series + 2) * (high ? 3.0F : 1.0F);
}

class Forgetting : public Training {
 protected:
  explicit Forgetting(const SmallCorpusOptions& corpus = {.series = 12,
                                                          .steps = 160,
                                                          .all_missing_series = true,
                                                          .change = other_days,
                                                          .texts = {}})
      : Training(corpus) {}

  std::string start(const std::string& run) const { return "run.start=" + (folder_ / run).string(); }

  // Trained on the first 100 steps, and what a run that begins with it trains on afterwards.
  std::vector<std::string> early() const {
    return {"data.train_until=2022-04-10", "data.validate_until=2022-04-17", "train.early_stop=0"};
  }
  std::vector<std::string> later(std::vector<std::string> more = {}) const {
    std::vector<std::string> all = {start("first"), "data.recent=30", "train.validate_every=1000",
                                    "train.early_stop=0"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  // Mean loss of a run's newest weights on windows of the first 100 steps.
  double loss_on_old_days(const std::string& run) const {
    const Checkpoints checkpoints(folder_ / run / "checkpoints");
    const models::DemandModel model =
        models::DemandModel::load(checkpoints.path_of(checkpoints.steps().back()));
    const data::FeatureSpec features = open_run(folder_ / run).features;
    const at::NoGradGuard no_grad;
    double sum = 0, valid = 0;
    data::EvaluationReader reader(folder_ / "small.corpus", features, choose_windows(1, 12, 28, 100, 7, 60),
                                  1);
    for (std::int64_t k = 0; k < reader.batches(); ++k) {
      data::Batch batch;
      reader.read(k, batch);
      const models::LossSums sums =
          models::loss_sums(model.forward(make_inputs(batch, features, {}, nullptr), nullptr),
                            make_targets(batch, features), model.config());
      sum += sums.loss.item<double>();
      valid += sums.valid_targets.item<double>();
    }
    return sum / valid;
  }
};

TEST_F(Forgetting, replay_takes_its_share_from_before_the_recent_windows) {
  const data::Corpus corpus(folder_ / "small.corpus");
  const DataPlan plan = make_plan(recipe("r", {"data.recent=30", "data.replay=0.25"}), corpus);
  EXPECT_EQ(plan.train_space.first_origin, plan.train_end - 30);
  EXPECT_EQ(plan.train_space.new_origins(), 24);
  EXPECT_EQ(plan.train_space.replayed, 8);
  // All windows are recent ones: nothing is left to replay.
  EXPECT_EQ(make_plan(recipe("r", {"data.recent=1000", "data.replay=0.25"}), corpus).train_space.replayed, 0);
  EXPECT_THAT(message_of([&] { recipe("r", {"data.replay=0.25"}); }),
              HasSubstr("data.replay needs data.recent"));
  EXPECT_THAT(message_of([&] { recipe("r", {"data.recent=3"}); }), HasSubstr("shorter than data.horizon"));
}

TEST_F(Forgetting, replayed_training_resumes_to_the_bit_and_does_not_depend_on_ranks) {
  const std::vector<std::string> replay = {"data.recent=30", "data.replay=0.4", "train.optimizer.name=sgd",
                                           "train.optimizer.lr=0.02"};
  train_on(2, recipe("whole", replay));
  for (const std::int64_t stop : {10, 30})
    train_on(2, recipe("parts", replay), {.resume = Resume::automatic, .stop_after = stop});
  EXPECT_EQ(weights("whole"), weights("parts"));
  train_on(3, recipe("three", replay));
  EXPECT_LT(relative_distance(weights("whole"), weights("three")), 1e-5);
}

TEST_F(Forgetting, the_fisher_information_is_the_mean_of_squared_gradients_of_single_windows) {
  train_alone(recipe("first", early()));
  const Recipe held =
      recipe("held", later({"train.ewc.strength=1", "train.ewc.windows=20", "train.steps=1"}));
  train_on(3, held);
  // The same by plain autograd.
  at::set_num_threads(1);
  const data::Corpus corpus(held.data.corpus);
  const data::FeatureSpec features = make_plan(held, corpus).features;
  TrainedRun first = open_run(folder_ / "first");
  const auto windows = choose_windows(mix(17, key_of("ewc")), 12, 1, 97, 7, 20);
  ASSERT_EQ(windows.size(), 20U);
  std::map<std::string, at::Tensor> squares;
  data::EvaluationReader reader(held.data.corpus, features, windows, 1);
  double counted = 0;
  for (std::int64_t k = 0; k < reader.batches(); ++k) {
    data::Batch batch;
    reader.read(k, batch);
    const models::LossSums sums =
        models::loss_sums(first.model->forward(make_inputs(batch, features, {}, nullptr), nullptr),
                          make_targets(batch, features), first.model->config());
    if (sums.valid_targets.item<double>() == 0) continue;
    ++counted;
    (sums.loss / sums.valid_targets).backward();
    for (const models::Parameter& parameter : first.model->parameters()) {
      at::Tensor tensor = parameter.tensor;
      if (!tensor.grad().defined()) continue;
      const at::Tensor square = tensor.grad().square();
      squares[parameter.name] = squares.contains(parameter.name) ? squares[parameter.name] + square : square;
      tensor.mutable_grad().reset();
    }
  }
  const SafetensorsFile stored(folder_ / "held/ewc.safetensors");
  std::vector<float> expected, found;
  for (const auto& [name, square] : squares) {
    const at::Tensor mean = (square / counted).contiguous();
    expected.insert(expected.end(), mean.const_data_ptr<float>(),
                    mean.const_data_ptr<float>() + mean.numel());
    const std::vector<float> values = stored.at("fisher." + name).to_float();
    found.insert(found.end(), values.begin(), values.end());
  }
  EXPECT_LT(relative_distance(expected, found), 1e-5);
  EXPECT_GT(squares.size(), 10U);
}

TEST_F(Forgetting, the_penalty_pulls_as_its_formula_says) {
  train_alone(recipe("first", early()));
  const std::vector<std::string> plain = {"train.optimizer.name=sgd",       "train.optimizer.momentum=0",
                                          "train.optimizer.weight_decay=0", "train.clip=0",
                                          "train.optimizer.lr=0.05",        "train.schedule.name=constant",
                                          "train.schedule.warmup=0"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), plain.begin(), plain.end());
    return later(more);
  };
  // One step from the start is the same with and without; in the second the penalty's gradient is strength *
  // fisher * (w1 - start).
  constexpr double kStrength = 30, kRate = 0.05;
  for (const int steps : {1, 2}) {
    train_alone(recipe(fmt::format("free-{}", steps), with({fmt::format("train.steps={}", steps)})));
    train_alone(recipe(
        fmt::format("held-{}", steps),
        with({fmt::format("train.steps={}", steps), fmt::format("train.ewc.strength={}", kStrength)})));
  }
  EXPECT_EQ(weights("free-1"), weights("held-1"));
  const SafetensorsFile anchor(folder_ / "held-2/ewc.safetensors");
  const auto newest = [&](const std::string& run, const std::string& name) {
    const Checkpoints checkpoints(folder_ / run / "checkpoints");
    const fs::path folder = checkpoints.path_of(checkpoints.steps().back());
    const bool tower = name.starts_with("tower.");
    return SafetensorsFile(folder / (tower ? "tower/model.safetensors" : "fusion.safetensors"))
        .at(tower ? name.substr(6) : name)
        .to_float();
  };
  std::vector<float> expected, found;
  for (const auto& [name, tensor] : anchor.tensors()) {
    if (!name.starts_with("fisher.")) continue;
    const std::string own = name.substr(7);
    const std::vector<float> fisher = tensor.to_float(), from = anchor.at("start." + own).to_float(),
                             first = newest("held-1", own), free = newest("free-2", own),
                             held = newest("held-2", own);
    for (std::size_t i = 0; i < fisher.size(); ++i) {
      expected.push_back(static_cast<float>(-kRate * kStrength * fisher[i] * (first[i] - from[i])));
      found.push_back(held[i] - free[i]);
    }
  }
  EXPECT_LT(relative_distance(expected, found), 0.02);
}

TEST_F(Forgetting, a_held_run_resumes_to_the_bit) {
  train_alone(recipe("first", early()));
  const std::vector<std::string> held = later({"train.ewc.strength=100", "train.ewc.windows=30"});
  train_on(2, recipe("whole", held));
  for (const std::int64_t stop : {10, 30})
    train_on(2, recipe("parts", held), {.resume = Resume::automatic, .stop_after = stop});
  EXPECT_EQ(weights("whole"), weights("parts"));
  EXPECT_THAT(message_of([&] { recipe("r", {"train.ewc.strength=1"}); }),
              HasSubstr("train.ewc needs run.start"));
}

TEST_F(Forgetting, replay_and_the_penalty_keep_what_is_lost_without_them) {
  std::vector<std::string> thorough = early();
  thorough.insert(thorough.end(), {"train.steps=200"});
  train_alone(recipe("first", thorough));
  const double before = loss_on_old_days("first");
  const std::vector<std::string> long_enough = {"train.steps=80", "train.optimizer.lr=2.0e-3"};
  const auto after = [&](const std::string& run, std::vector<std::string> more) {
    more.insert(more.end(), long_enough.begin(), long_enough.end());
    train_alone(recipe(run, later(more)));
    return loss_on_old_days(run);
  };
  const double lost = after("recent", {}) - before;
  const double replayed = after("replay", {"data.replay=0.5"}) - before;
  const double held = after("ewc", {"train.ewc.strength=30000"}) - before;
  const std::string figures = fmt::format(
      "before {:.3f}, more by {:.3f} without, {:.3f} with replay, {:.3f} held", before, lost, replayed, held);
  EXPECT_GT(lost, 3 * before) << figures;
  EXPECT_LT(replayed, 0.6 * lost) << figures;
  EXPECT_LT(held, 0.5 * lost) << figures;
}

}  // namespace
}  // namespace shelfcast::trainer
