// AdaLoRA's budget, importances and cuts beside the PEFT package's (tests/golden/make_lora.py) and closed
// forms.
#include "models/adapters/rank_allocator.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <map>

#include "models/adapters/adapter.h"
#include "tests/models/adapted_bolt.h"
#include "tests/models/adapted_models.h"
#include "tests/models/adapter_golden.h"

namespace shelfcast::models {
namespace {

namespace fs = std::filesystem;
using testing::AdaptedBolt;
using testing::expect_below;
using testing::published;
using testing::stored;

LoraConfig config_of(const fs::path& folder) { return std::get<LoraConfig>(read_adapter_config(folder)); }

std::vector<Parameter> adapters_of(const std::vector<Parameter>& parameters) {
  std::vector<Parameter> own;
  for (const Parameter& parameter : parameters) {
    at::Tensor(parameter.tensor).set_requires_grad(parameter.adapter);
    if (parameter.adapter) own.push_back(parameter);
  }
  return own;
}

// All singular values, in the order of their matrices' names.
at::Tensor singular_values(const std::vector<Parameter>& parameters) {
  std::map<std::string, at::Tensor> by_name;
  for (const Parameter& parameter : parameters)
    if (parameter.name.ends_with(".lora_E")) by_name[parameter.name] = parameter.tensor.detach().flatten();
  std::vector<at::Tensor> values;
  for (const auto& [name, tensor] : by_name) values.push_back(tensor);
  return at::cat(values);
}

TEST(RankAllocator, a_whole_training_has_the_losses_cuts_and_singular_values_of_peft) {
  const fs::path folder = testing::adapter_folder("adalora");
  const SafetensorsFile golden(testing::adapter_folder("adalora_cut") / "case.safetensors");
  const at::Tensor losses = stored(golden, "losses"), values = stored(golden, "singular_values");
  const AdaptedBolt model(testing::base_of(folder), folder);
  const LoraConfig config = config_of(folder);
  testing::PlainAdamW optimizer(adapters_of(model.parameters()));
  RankAllocator ranks(model.parameters(), config);
  for (std::int64_t step = 0; step < losses.size(0); ++step) {
    const at::Tensor loss = model.loss();
    const double whole = loss.item<double>() + config.budget->orthogonal * ranks.distance_from_orthogonal();
    expect_below("adalora loss", std::abs(whole / losses[step].item<double>() - 1.0), 5e-5);
    loss.backward();
    ranks.pull(1.0);
    ranks.remember_gradients(1.0);
    optimizer.step();
    ranks.allocate(step + 1);
    const at::Tensor got = singular_values(model.parameters());
    EXPECT_TRUE(at::equal(got == 0, values[step] == 0)) << step;
    expect_below("adalora singular values", testing::error_of(got, values[step]), 1e-4);
  }
  const at::Tensor left = singular_values(model.parameters()) != 0;
  EXPECT_EQ(left.sum().item<std::int64_t>(), left.numel() / 2);
}

LoraConfig with_budget(RankBudget budget) {
  return {.rank = 4,
          .targets = {"encoder.block.0.layer.0.SelfAttention.q", "EncDecAttention.v"},
          .budget = budget};
}

TEST(RankAllocator, the_budget_falls_with_a_cube_from_all_to_the_target) {
  DemandModel model = published();
  model.add_adapter(with_budget({.target = 1}), 1);
  const RankAllocator ranks(model.parameters(),
                            with_budget({.target = 1, .warmup = 10, .final = 20, .steps = 70}));
  EXPECT_EQ(ranks.budget(1), 12);  // 4 of each of 3 matrices
  EXPECT_EQ(ranks.budget(10), 12);
  EXPECT_EQ(ranks.budget(20), 6);  // 9 * (3/4)^3 + 3 = 6.8
  EXPECT_EQ(ranks.budget(30), 4);  // 9 / 8 + 3
  EXPECT_EQ(ranks.budget(50), 3);
  EXPECT_EQ(ranks.budget(70), 3);
}

TEST(RankAllocator, pulls_by_the_gradient_of_the_distance_from_orthogonal) {
  DemandModel model = published();
  const LoraConfig config = with_budget({.target = 1, .orthogonal = 0.7, .steps = 10});
  model.add_adapter(config, 1);
  const std::vector<Parameter> own = adapters_of(model.parameters());
  RankAllocator ranks(model.parameters(), config);
  std::vector<at::Tensor> both, distances;
  for (const Parameter& parameter : own) {
    if (parameter.name.ends_with(".lora_E")) continue;
    const at::Tensor rows = parameter.name.ends_with(".lora_A") ? parameter.tensor : parameter.tensor.t();
    both.push_back(parameter.tensor);
    distances.push_back((at::mm(rows, rows.t()) - at::eye(rows.size(0))).norm());
  }
  const at::Tensor mean = at::stack(distances).mean();
  EXPECT_NEAR(ranks.distance_from_orthogonal(), mean.item<double>(), 1e-6);
  const auto expected = torch::autograd::grad({0.7 * 5.0 * mean}, both);
  ranks.pull(5.0);
  for (std::size_t i = 0; i < both.size(); ++i)
    EXPECT_TRUE(at::allclose(both[i].grad(), expected[i], 1e-4, 1e-7)) << i;
}

TEST(RankAllocator, cuts_nothing_before_anything_was_learned_or_when_the_target_is_all) {
  for (const std::int64_t target : {1, 4}) {
    DemandModel model = published();
    const LoraConfig config = with_budget({.target = target, .steps = 2});
    model.add_adapter(config, 1);
    testing::move_adapter(model);
    RankAllocator ranks(model.parameters(), config);
    ranks.remember_gradients(1.0);  // none: every importance is zero
    for (const std::int64_t step : {1, 2}) ranks.allocate(step);
    EXPECT_EQ((singular_values(model.parameters()) != 0).sum().item<std::int64_t>(), 12) << target;
  }
}

}  // namespace
}  // namespace shelfcast::models
