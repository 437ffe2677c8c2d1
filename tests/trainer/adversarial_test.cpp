// Training with changed tokens: the change against one worked out by hand, what it does to a model's loss,
// and that it hangs on a window alone.
#include "trainer/adversarial.h"

#include <array>
#include <cmath>

#include "tests/models/small_models.h"
#include "tests/trainer/training_fixture.h"

namespace shelfcast::trainer {
namespace {

using models::TokenChange;
using Method = AdversarialConfig::Method;

// Windows of one token of two numbers, whose loss is sum of a / 2 * (x - c)^2.
struct Toy {
  at::Tensor x, a, c;
  mutable std::vector<double> losses{};

  ChangedLoss loss() const {
    return [this](TokenChange* change) {
      const at::Tensor changed = models::changed_tokens(x, x.size(0), change);
      models::LossSums sums{(a * (changed - c).square()).sum() / 2, at::scalar_tensor(2.0, at::kDouble)};
      losses.push_back(sums.loss.item<double>());
      return sums;
    };
  }
};

at::Tensor numbers(const std::vector<double>& values) {
  return at::tensor(values, at::kDouble).view({-1, 2});
}

TEST(Adversarial, one_step_goes_up_the_gradient_of_each_window_by_its_share_of_the_tokens_length) {
  // |x| = 5 and 10; gradients (0, 2), (9, 0), and none at all.
  const Toy toy{numbers({3, 4, 6, 8, 1, 1}).requires_grad_(true), numbers({1, 1, 3, 3, 0, 0}),
                numbers({3, 2, 3, 8, 0, 0})};
  std::vector<std::pair<int, std::size_t>> seen;  // backwards to follow, losses so far
  const models::LossSums sums =
      adversarial_backward({.method = Method::fgm, .epsilon = 0.1, .weight = 2}, toy.loss(),
                           [&](int more) { seen.emplace_back(more, toy.losses.size()); });
  EXPECT_EQ(seen, (std::vector<std::pair<int, std::size_t>>{{1, 1}, {0, 2}}));
  EXPECT_EQ(sums.loss.item<double>(), 2.0 + 13.5);
  EXPECT_EQ(sums.valid_targets.item<double>(), 2.0);
  // Changes are (0, 0.5) and (1, 0).
  EXPECT_NEAR(toy.losses[1], 2.5 * 2.5 / 2 + 3 * 4.0 * 4.0 / 2, 1e-12);
  const at::Tensor expected = numbers({0, 2 + 2 * 2.5, 9 + 2 * 12, 0, 0, 0});
  EXPECT_LT((toy.x.grad() - expected).abs().max().item<double>(), 1e-12);
}

TEST(Adversarial, several_steps_are_those_of_a_plain_loop_that_is_thrown_back_onto_its_circle) {
  const std::array<double, 2> x = {3, -4}, a = {0.5, 4}, c = {1, -3};
  const double epsilon = 0.2, step_size = 0.09, length = 5;
  std::array<double, 2> r = {0, 0}, total = {0, 0};
  const auto gradient = [&](std::size_t i) { return a[i] * (x[i] + r[i] - c[i]); };
  for (std::size_t i = 0; i < 2; ++i) total[i] = gradient(i);
  for (int step = 0; step < 4; ++step) {
    const std::array<double, 2> g = {gradient(0), gradient(1)};
    for (std::size_t i = 0; i < 2; ++i) r[i] += step_size * length * g[i] / std::hypot(g[0], g[1]);
    const double out = std::hypot(r[0], r[1]) / (epsilon * length);
    if (out > 1)
      for (double& value : r) value /= out;
  }
  for (std::size_t i = 0; i < 2; ++i) total[i] += 0.5 * gradient(i);
  const Toy toy{numbers({3, -4}).requires_grad_(true), numbers({0.5, 4}), numbers({1, -3})};
  adversarial_backward(
      {.method = Method::pgd, .epsilon = epsilon, .weight = 0.5, .steps = 4, .step_size = step_size},
      toy.loss(), [](int) {});
  EXPECT_EQ(toy.losses.size(), 5U);
  EXPECT_NEAR(toy.x.grad()[0][0].item<double>(), total[0], 1e-12);
  EXPECT_NEAR(toy.x.grad()[0][1].item<double>(), total[1], 1e-12);
}

class AdversarialTowers : public ::testing::TestWithParam<models::Architecture> {};
INSTANTIATE_TEST_SUITE_P(All, AdversarialTowers,
                         ::testing::Values(models::Architecture::chronos_bolt, models::Architecture::chronos2,
                                           models::Architecture::lstm, models::Architecture::tcn,
                                           models::Architecture::transformer));

// To first order the loss grows by sum of |change| |gradient|, and by less in any other direction.
TEST_P(AdversarialTowers, a_small_change_raises_the_loss_by_as_much_as_one_of_its_length_can) {
  at::manual_seed(5);
  models::DemandModelConfig config = models::testing::small_config(GetParam());
  config.model.mean_head = false;  // it follows a quantile whose gradient is stopped
  const models::DemandModel model(config, 11);
  const models::ModelInputs inputs = models::testing::small_batch(config, 6);
  const models::Targets targets{at::rand({6, config.horizon}) * 9, at::ones({6}), {}};
  const models::DropoutKeys keys{3, 2, {4, 8, 15, 16, 23, 42}};
  const auto loss_with = [&](TokenChange* change) {
    return models::loss_sums(model.forward(inputs, &keys, change), targets, config);
  };
  TokenChange change;
  const at::Tensor plain = loss_with(&change).loss;
  const at::Tensor without = loss_with(nullptr).loss;
  EXPECT_EQ(plain.item<double>(), without.item<double>());
  plain.backward();
  const at::Tensor gradient = change.added_bld.grad(), lengths = change.length_b.to(at::kDouble);
  EXPECT_EQ(gradient.size(0), 6);
  constexpr double kEpsilon = 3e-4;
  const double expected =
      (kEpsilon * lengths * gradient.flatten(1).norm(2, 1).to(at::kDouble)).sum().item<double>();
  ASSERT_GT(expected, 0);
  std::vector<double> losses;
  adversarial_backward(
      {.method = Method::fgm, .epsilon = kEpsilon},
      [&](TokenChange* own) {
        models::LossSums sums = loss_with(own);
        losses.push_back(sums.loss.item<double>());
        return sums;
      },
      [](int) {});
  EXPECT_NEAR(losses[1] - losses[0], expected, 0.15 * expected);
  const at::Tensor noise = at::randn_like(gradient);
  TokenChange other{noise / noise.flatten(1).norm(2, 1).view({-1, 1, 1}) *
                        (kEpsilon * lengths).to(at::kFloat).view({-1, 1, 1}),
                    {}};
  EXPECT_LT(std::abs(loss_with(&other).loss.item<double>() - losses[0]), 0.6 * expected);
}

class AdversarialTraining : public Training {
 protected:
  // Plain descent: its steps are as long as the gradients say.
  Recipe descent(const std::string& run, std::vector<std::string> more = {}) const {
    more.insert(more.begin(),
                {"train.optimizer.name=sgd", "train.optimizer.lr=0.02", "train.optimizer.momentum=0",
                 "train.optimizer.weight_decay=0", "train.clip=0"});
    return recipe(run, more);
  }
};

TEST_F(AdversarialTraining, with_next_to_no_change_and_weight_one_is_a_training_of_twice_the_rate) {
  train_alone(descent("twice", {"train.optimizer.lr=0.04"}));
  train_alone(descent("changed", {"train.adversarial.method=fgm", "train.adversarial.epsilon=1e-6"}));
  EXPECT_LT(relative_distance(weights("twice"), weights("changed")), 1e-4);
  train_alone(descent("real", {"train.adversarial.method=fgm", "train.adversarial.epsilon=0.2"}));
  EXPECT_GT(relative_distance(weights("twice"), weights("real")), 1e-3);
}

TEST_F(AdversarialTraining, one_projected_step_of_full_length_is_the_fast_one_to_the_bit) {
  train_alone(descent("fgm", {"train.adversarial.method=fgm", "train.adversarial.epsilon=0.1"}));
  train_alone(descent("pgd", {"train.adversarial.method=pgd", "train.adversarial.epsilon=0.1",
                              "train.adversarial.steps=1", "train.adversarial.step_size=0.1"}));
  EXPECT_LT(relative_distance(weights("fgm"), weights("pgd")), 1e-6);
}

TEST_F(AdversarialTraining, logs_and_validates_the_loss_without_changes) {
  const std::vector<std::string> often = {"train.steps=1", "train.log_every=1", "train.validate_every=1"};
  std::vector<std::string> changed = often;
  changed.insert(changed.end(), {"train.adversarial.method=pgd", "train.adversarial.epsilon=0.5"});
  train_alone(recipe("plain", often));
  train_alone(recipe("changed", changed));
  const auto first = [&](const std::string& run, const char* name) {
    for (const nlohmann::json& line : read_lines(folder_ / run / "metrics.jsonl"))
      if (line.contains(name)) return line.at(name).get<double>();
    return std::nan("");
  };
  EXPECT_NEAR(first("plain", "loss"), first("changed", "loss"), 1e-6);
  EXPECT_GT(first("changed", "gradient_norm"), 1.5 * first("plain", "gradient_norm"));
}

TEST_F(AdversarialTraining, in_parts_is_the_whole_to_the_bit_and_on_ranks_the_same_within_rounding) {
  const std::vector<std::string> settings = {"train.adversarial.method=pgd", "train.adversarial.epsilon=0.1",
                                             "train.adversarial.step_size=0.06"};
  train_alone(recipe("whole", settings));
  for (const std::int64_t stop : {10, 30})
    train_alone(recipe("parts", settings), {.resume = Resume::automatic, .stop_after = stop});
  EXPECT_EQ(weights("whole"), weights("parts"));
  // Few steps: a direction is a quotient, in which rounding grows.
  std::vector<std::string> few = settings;
  few.insert(few.end(), {"train.steps=6", "train.validate_every=6"});
  train_alone(descent("one", few));
  few.emplace_back("train.micro_batch=5");
  train_on(3, descent("ranks", few));
  EXPECT_LT(relative_distance(weights("one"), weights("ranks")), 1e-5);
}

// A look for the gradient of tokens computes blocks again, too, and must leave parameters alone.
TEST_F(AdversarialTraining, with_activation_checkpointing_is_the_same_to_the_bit) {
  for (const char* method : {"fgm", "pgd"})
    for (const char* tower : {"model.tower=bolt-nano", "model.tower=chronos-2-nano"}) {
      const std::string run = std::string(method) + tower;
      std::vector<std::string> settings = {std::string("train.adversarial.method=") + method, tower,
                                           "train.steps=4", "train.validate_every=4", "parallel.zero=2"};
      train_on(2, recipe("kept" + run, settings));
      settings.emplace_back("train.activation_checkpointing=true");
      train_on(2, recipe("again" + run, settings));
      EXPECT_EQ(weights("kept" + run), weights("again" + run)) << run;
    }
}

TEST_F(AdversarialTraining, what_cannot_be_is_refused_by_name) {
  for (const char* setting : {"epsilon=0", "weight=-1", "steps=0", "step_size=0", "method=fgsm"})
    EXPECT_NE(message_of([&] {
                recipe("x", {std::string("train.adversarial.") + setting});
              }).find("train.adversarial."),
              std::string::npos)
        << setting;
  EXPECT_NE(message_of([&] {
              recipe("x", {"train.task=masked_language", "model.text=somewhere", "tune.text=all",
                           "train.adversarial.method=fgm"});
            }).find("train.adversarial.method: none"),
            std::string::npos);
}

}  // namespace
}  // namespace shelfcast::trainer
