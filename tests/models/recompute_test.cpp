// Activation checkpointing: the same losses and gradients, to the bit.
#include "models/recompute.h"

#include <gtest/gtest.h>

#include <map>

#include "models/demand_model.h"
#include "models/product.h"
#include "tests/models/adapted_models.h"
#include "tests/models/small_models.h"

namespace shelfcast::models {
namespace {

using testing::small_batch;
using testing::small_config;

struct Trained {
  double loss = 0;
  std::map<std::string, at::Tensor> gradients;
};

Trained train_once(const DemandModel& model, const ModelInputs& inputs, bool on, Precision precision) {
  const DropoutKeys keys{3, 8, {10, 11, 12, 13, 14}};
  const PrecisionScope scope(precision);
  at::manual_seed(9);
  const Targets targets{at::rand({5, model.config().horizon}) * 5.0, at::ones({5}), {}};
  LossSums sums;
  {
    const RecomputeScope recompute(on);
    sums = loss_sums(model.forward(inputs, &keys), targets, model.config());
  }
  Trained result;
  result.loss = sums.loss.item<double>();
  {
    // What a block was computed in is what it is computed in again.
    const PrecisionScope other(precision == Precision::fp32 ? Precision::bf16 : Precision::fp32);
    sums.loss.backward();
  }
  for (const Parameter& parameter : model.parameters()) {
    at::Tensor tensor = parameter.tensor;
    if (!tensor.requires_grad()) continue;
    result.gradients[parameter.name] = tensor.grad().defined() ? tensor.grad().clone() : at::Tensor();
    tensor.mutable_grad().reset();
  }
  return result;
}

void expect_the_same(const DemandModel& model, Precision precision) {
  at::manual_seed(4);
  const ModelInputs inputs = small_batch(model.config(), 5);
  const Trained kept = train_once(model, inputs, false, precision),
                again = train_once(model, inputs, true, precision);
  EXPECT_EQ(kept.loss, again.loss);
  std::size_t reached = 0;
  for (const auto& [name, gradient] : kept.gradients) {
    const at::Tensor& other = again.gradients.at(name);
    ASSERT_EQ(gradient.defined(), other.defined()) << name;
    if (!gradient.defined()) continue;
    ++reached;
    EXPECT_TRUE(at::equal(gradient, other))
        << name << " is off by " << testing::largest_difference(gradient, other);
  }
  EXPECT_GT(reached, 4U);
}

TEST(Recompute, gives_the_losses_and_gradients_of_kept_activations_to_the_bit) {
  for (const Precision precision : {Precision::fp32, Precision::bf16}) {
    for (const Architecture tower : {Architecture::chronos_bolt, Architecture::chronos2}) {
      DemandModelConfig config = small_config(tower);
      config.model.dropout = 0.2;
      config.model.groups = tower == Architecture::chronos2;
      expect_the_same(DemandModel(config, 7), precision);
    }
  }
}

// No gradient flows to what the first block reads, and the adapter drops elements of its own.
TEST(Recompute, works_where_adapters_alone_are_trained) {
  DemandModel model = testing::published();
  LoraConfig lora;
  lora.rank = 3;
  lora.dropout = 0.2;
  model.add_adapter(lora, 5);
  for (const Parameter& parameter : model.parameters())
    at::Tensor(parameter.tensor).requires_grad_(parameter.name.find("lora") != std::string::npos);
  for (const Parameter& parameter : model.parameters())
    if (parameter.name.find("lora_B") != std::string::npos) at::Tensor(parameter.tensor).detach().normal_();
  expect_the_same(model, Precision::fp32);
}

TEST(Recompute, does_nothing_outside_of_its_scope_and_without_gradients) {
  int calls = 0;
  const auto block = [&calls](const at::Tensor& x, const at::Tensor&) {
    ++calls;
    return x * 2;
  };
  const at::Tensor x = at::ones({3}).requires_grad_(true);
  recomputed(x, {}, block).sum().backward();
  EXPECT_EQ(calls, 1);
  const RecomputeScope on(true);
  {
    const at::NoGradGuard no_grad;
    EXPECT_FALSE(recomputed(x, {}, block).requires_grad());
    EXPECT_EQ(calls, 2);
  }
  const at::Tensor y = recomputed(x, {}, block);
  EXPECT_EQ(calls, 3);
  y.sum().backward();
  EXPECT_EQ(calls, 4);
  EXPECT_TRUE(at::equal(x.grad(), at::full({3}, 4.0F)));  // of both backwards
}

}  // namespace
}  // namespace shelfcast::models
