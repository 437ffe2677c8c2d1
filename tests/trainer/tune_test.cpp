// Fine-tuning a published tower: what is trained, what stays as it was, and that it never ends worse than it
// began.
#include "trainer/tune.h"

#include "tests/support/paths.h"
#include "tests/trainer/training_fixture.h"
#include "trainer/model_state.h"

namespace shelfcast::trainer {
namespace {

// Two blocks in the encoder and in the decoder.
fs::path published() { return shelfcast::testing::source_dir() / "tests/golden/bolt/wide_heads"; }

class Tuning : public Training {
 protected:
  Recipe tuned(const std::string& run, std::vector<std::string> overrides) const {
    overrides.insert(overrides.begin(), "model.weights=" + published().string());
    return recipe(run, overrides);
  }

  // Names of the tower's tensors that differ between the run's newest checkpoint and what was published.
  std::set<std::string> changed(const std::string& run) const {
    const Checkpoints checkpoints(folder_ / run / "checkpoints");
    const SafetensorsFile after(checkpoints.path_of(checkpoints.steps().back()) / "tower/model.safetensors"),
        before(published() / "model.safetensors");
    std::set<std::string> names;
    for (const auto& [name, tensor] : after.tensors())
      if (tensor.to_float() != before.at(name).to_float()) names.insert(name);
    return names;
  }
};

TEST_F(Tuning, heads_leave_all_of_the_tower_but_its_output_layer) {
  train_alone(tuned("heads", {"tune.method=heads"}));
  const std::set<std::string> names = changed("heads");
  EXPECT_TRUE(names.contains("output_patch_embedding.output_layer.weight"));
  EXPECT_TRUE(names.contains("decoder.final_layer_norm.weight"));
  for (const std::string& name : names)
    EXPECT_TRUE(name.starts_with("output_patch_embedding.") || name == "decoder.final_layer_norm.weight")
        << name;
}

TEST_F(Tuning, top_trains_the_last_blocks_of_both_stacks) {
  train_alone(tuned("top", {"tune.method=top"}));
  const std::set<std::string> names = changed("top");
  for (const char* name :
       {"encoder.block.1.layer.0.SelfAttention.q.weight", "decoder.block.1.layer.1.EncDecAttention.k.weight",
        "encoder.final_layer_norm.weight"})
    EXPECT_TRUE(names.contains(name)) << name;
  for (const std::string& name : names) {
    EXPECT_EQ(name.find("block.0."), std::string::npos) << name;
    EXPECT_FALSE(name.starts_with("input_patch_embedding.")) << name;
  }
}

TEST_F(Tuning, ten_and_twenty_steps_of_the_top_are_thirty_to_the_bit) {
  train_alone(tuned("whole", {"tune.method=top"}));
  for (const std::int64_t stop : {10, 30})
    train_alone(tuned("parts", {"tune.method=top"}), {.resume = Resume::automatic, .stop_after = stop});
  EXPECT_EQ(weights("whole"), weights("parts"));
}

TEST_F(Tuning, what_was_published_stays_the_best_when_training_makes_it_worse) {
  const TrainResult result =
      train_alone(tuned("worse", {"train.optimizer.lr=3.0", "train.clip=0", "train.schedule.name=constant",
                                  "train.early_stop=0", "train.steps=20", "train.validate_every=5"}));
  EXPECT_EQ(result.best_step, 0);
  const Checkpoints checkpoints(folder_ / "worse/checkpoints");
  EXPECT_EQ(checkpoints.steps().front(), 0);
  EXPECT_EQ(
      SafetensorsFile(checkpoints.path_of(0) / "tower/model.safetensors").at("shared.weight").to_float(),
      SafetensorsFile(published() / "model.safetensors").at("shared.weight").to_float());
}

models::DemandModel published_model() {
  models::DemandModelConfig config;
  config.model.weights = published().string();
  config.context = 28;
  config.horizon = 7;
  config.tower = models::tower_for(config.model, config.context, config.horizon);
  return {config, 1};
}

TEST_F(Tuning, a_checkpoint_holds_the_copy_of_what_is_trained_and_the_frozen_rest) {
  const models::DemandModel model = published_model();
  parallel::FlatBuffers buffers(trained_parameters(model, {.method = "top"}));
  const auto optimizer = make_optimizer({}, buffers);
  const std::vector<float> copy(static_cast<std::size_t>(buffers.elements()), 7.0F);
  checkpoint_source(model, buffers, *optimizer).write_model(folder_ / "saved", copy);
  const SafetensorsFile saved(folder_ / "saved/tower/model.safetensors"),
      before(published() / "model.safetensors");
  std::size_t trained = 0;
  for (const auto& [name, tensor] : saved.tensors()) {
    const std::vector<float> values = tensor.to_float();
    if (values == before.at(name).to_float()) continue;
    EXPECT_EQ(values, std::vector<float>(values.size(), 7.0F)) << name;
    ++trained;
  }
  std::size_t expected = 0;
  for (const parallel::FlatRange& range : buffers.ranges())
    expected += range.name.starts_with("tower.") ? 1 : 0;
  EXPECT_EQ(trained, expected);
  EXPECT_LT(trained, saved.tensors().size());
}

TEST_F(Tuning, learning_rates_decay_from_the_output_to_the_input) {
  const models::DemandModel model = published_model();
  std::map<std::string, double> factors;
  for (const parallel::FlatParameter& parameter : trained_parameters(model, {.layer_decay = 0.5}))
    factors[parameter.name] = parameter.lr_scale;
  EXPECT_EQ(factors.size(), model.parameters().size());
  EXPECT_EQ(factors.at("tower.output_patch_embedding.output_layer.weight"), 1.0);
  EXPECT_EQ(factors.at("tower.decoder.block.1.layer.2.DenseReluDense.wi.weight"), 0.5);
  EXPECT_EQ(factors.at("tower.decoder.block.0.layer.2.DenseReluDense.wi.weight"), 0.25);
  EXPECT_EQ(factors.at("tower.encoder.block.1.layer.0.SelfAttention.q.weight"), 0.125);
  EXPECT_EQ(factors.at("tower.encoder.block.0.layer.0.SelfAttention.q.weight"), 0.0625);
  EXPECT_EQ(factors.at("tower.input_patch_embedding.hidden_layer.weight"), 0.03125);
}

TEST_F(Tuning, more_blocks_than_there_are_and_unknown_methods_are_errors) {
  EXPECT_NE(message_of([&] {
              train_alone(tuned("many", {"tune.method=top", "tune.layers=3"}));
            }).find("2 encoder and 2 decoder blocks"),
            std::string::npos);
  EXPECT_NE(message_of([&] { tuned("odd", {"tune.method=lora"}); }).find("use all, top or heads"),
            std::string::npos);
  EXPECT_NE(message_of([&] { tuned("odd", {"tune.layer_decay=1.5"}); }).find("tune.layer_decay"),
            std::string::npos);
}

}  // namespace
}  // namespace shelfcast::trainer
