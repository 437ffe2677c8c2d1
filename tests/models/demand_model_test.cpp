#include "models/demand_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "models/context.h"
#include "tests/models/adapted_models.h"
#include "tests/models/every_tower.h"
#include "tests/models/meta_device.h"
#include "tests/models/small_models.h"

namespace shelfcast::models {
namespace {

namespace fs = std::filesystem;
using testing::largest_difference;
using testing::rows_of;
using testing::small_batch;
using testing::small_config;
using testing::switch_all_on;

class Folder {
 public:
  Folder()
      : path_(fs::path(::testing::TempDir()) /
              ("models-" + std::to_string(::getpid()) + "-" +
               std::to_string(::testing::UnitTest::GetInstance()->current_test_info()->line()))) {
    fs::remove_all(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

at::Tensor loss_of(const DemandModel& model, const ModelInputs& inputs, const DropoutKeys* keys) {
  const std::int64_t windows = inputs.context_bt.size(0), steps = model.config().horizon;
  const at::Tensor target = at::linspace(0, 8, windows * steps).view({windows, steps});
  return loss_sums(model.forward(inputs, keys), {target, at::ones({windows}), {}}, model.config()).loss;
}

std::map<std::string, at::Tensor> gradients(const DemandModel& model, const at::Tensor& loss) {
  for (const Parameter& parameter : model.parameters())
    at::Tensor(parameter.tensor).mutable_grad() = at::Tensor();
  loss.backward();
  std::map<std::string, at::Tensor> result;
  for (const Parameter& parameter : model.parameters()) {
    const at::Tensor& gradient = parameter.tensor.grad();
    result[parameter.name] =
        gradient.defined() ? gradient.clone() : at::zeros_like(parameter.tensor).detach();
  }
  return result;
}

class EveryTower : public ::testing::TestWithParam<Architecture> {};
INSTANTIATE_TEST_SUITE_P(Towers, EveryTower, testing::every_tower(), testing::tower_in_test_name);

TEST_P(EveryTower, forecasts_have_the_shapes_asked_for) {
  at::manual_seed(1);
  const DemandModelConfig config = small_config(GetParam());
  const DemandModel model(config, 7);
  const Forecast forecast = model.forward(small_batch(config, 3), nullptr);
  EXPECT_EQ(forecast.quantiles_bqh.sizes(), at::IntArrayRef({3, 3, 6}));
  EXPECT_EQ(forecast.mean_bh.sizes(), at::IntArrayRef({3, 6}));
  EXPECT_EQ(forecast.loc_b.sizes(), at::IntArrayRef({3}));
  EXPECT_TRUE(at::isfinite(forecast.quantiles_bqh).all().item<bool>());
}

TEST_P(EveryTower,
       every_path_reaches_the_forecast_and_every_parameter_but_dead_attentions_ones_gets_a_gradient) {
  at::manual_seed(2);
  const DemandModelConfig config = small_config(GetParam());
  const DemandModel model(config, 7);
  const auto by_name = gradients(model, loss_of(model, small_batch(config, 8), nullptr));
  for (const auto& [name, gradient] : by_name) {
    // Chronos-Bolt's decoder attends to its one token, Chronos-2 across groups of one series.
    const bool alone =
        name.find("layer.1.self_attention") != std::string::npos ||
        (name.find("decoder") != std::string::npos && name.find("SelfAttention") != std::string::npos);
    const bool dead = alone && name.find(".v.") == std::string::npos && name.find(".o.") == std::string::npos;
    const double size = gradient.abs().max().item<double>();
    if (dead) {
      EXPECT_EQ(size, 0.0) << name;
    } else {
      EXPECT_GT(size, 0.0) << name;
    }
  }
}

TEST(DemandModel, initial_values_depend_on_seed_and_name_only) {
  const DemandModelConfig config = small_config();
  DemandModelConfig other = config;
  other.past_cardinalities = {3, 9};  // shifts the order in which tensors are made
  const DemandModel a(config, 7), b(other, 7), c(config, 8);
  std::map<std::string, at::Tensor> of_b, of_c;
  for (const Parameter& p : b.parameters()) of_b[p.name] = p.tensor;
  for (const Parameter& p : c.parameters()) of_c[p.name] = p.tensor;
  for (const Parameter& p : a.parameters()) {
    if (p.name.starts_with("fusion.patch.")) continue;  // another shape
    EXPECT_TRUE(at::equal(p.tensor, of_b.at(p.name))) << p.name;
    if (!p.decay) continue;
    EXPECT_FALSE(at::equal(p.tensor, of_c.at(p.name))) << p.name;
  }
}

TEST(DemandModel, initial_weights_have_the_published_deviations) {
  DemandModelConfig config = small_config();
  config.tower = named_tower("bolt-tiny");
  config.tower.initializer_factor = 0.05;
  config.model.quantiles = config.tower.quantiles;
  const DemandModel model(config, 3);
  const std::map<std::string, double> expected = {
      {"tower.shared.weight", 1.0},
      {"tower.encoder.block.1.layer.0.SelfAttention.q.weight", 1.0 / std::sqrt(256.0 * 64.0)},
      {"tower.encoder.block.1.layer.0.SelfAttention.k.weight", 1.0 / 16.0},
      {"tower.decoder.block.2.layer.1.EncDecAttention.o.weight", 1.0 / 16.0},
      {"tower.encoder.block.0.layer.1.DenseReluDense.wo.weight", 1.0 / 32.0},
      {"tower.input_patch_embedding.hidden_layer.weight", 1.0 / std::sqrt(32.0)}};
  for (const Parameter& p : model.parameters()) {
    const auto found = expected.find(p.name);
    if (found == expected.end()) continue;
    const double n = static_cast<double>(p.tensor.numel()), wanted = 0.05 * found->second;
    EXPECT_NEAR(p.tensor.std().item<double>() / wanted, 1.0, 5.0 / std::sqrt(2.0 * n)) << p.name;
    EXPECT_NEAR(p.tensor.mean().item<double>() / wanted, 0.0, 5.0 / std::sqrt(n)) << p.name;
  }
}

TEST_P(EveryTower, saved_and_loaded_forecasts_the_same_bits) {
  at::manual_seed(3);
  const Folder folder;
  const DemandModelConfig config = small_config(GetParam());
  const DemandModel model(config, 7);
  model.save(folder.path());
  const DemandModel loaded = DemandModel::load(folder.path());
  const ModelInputs inputs = small_batch(config, 4);
  const Forecast a = model.forward(inputs, nullptr), b = loaded.forward(inputs, nullptr);
  EXPECT_TRUE(at::equal(a.quantiles_bqh, b.quantiles_bqh));
  EXPECT_TRUE(at::equal(a.mean_bh, b.mean_bh));
  EXPECT_TRUE(fs::exists(folder.path() / "README.md"));
}

TEST(DemandModel, pretrained_weights_with_fusion_forecast_exactly_what_the_tower_does) {
  at::manual_seed(4);
  const Folder folder;
  DemandModelConfig bare = small_config();
  bare.past_numeric = bare.known_numeric = 0;
  bare.past_cardinalities = bare.known_cardinalities = bare.static_cardinalities = {};
  bare.text_width = 0;
  const DemandModel tower(bare, 7);
  tower.save(folder.path());

  DemandModelConfig config = small_config();
  config.model.weights = (folder.path() / "tower").string();
  config.horizon = 5;
  config.model.quantiles = {0.5, 0.9};
  switch_all_on(config.model);
  config.tower = tower_for(config.model, config.context, config.horizon);
  const DemandModel fused(config, 9);
  DemandModelConfig alone = config;
  alone.past_numeric = alone.known_numeric = 0;
  alone.past_cardinalities = alone.known_cardinalities = alone.static_cardinalities = {};
  alone.text_width = alone.static_numbers = 0;
  alone.model = {};
  alone.model.weights = config.model.weights;
  alone.model.quantiles = config.model.quantiles;
  const DemandModel plain(alone, 10);

  const ModelInputs inputs = small_batch(config, 4);
  const Forecast a = fused.forward(inputs, nullptr), b = plain.forward(inputs, nullptr);
  EXPECT_TRUE(at::equal(a.quantiles_bqh, b.quantiles_bqh));
  EXPECT_TRUE(at::equal(a.mean_bh, a.quantiles_bqh.select(1, 0)));
  EXPECT_EQ(a.quantiles_bqh.sizes(), at::IntArrayRef({4, 2, 5}));
  EXPECT_TRUE(at::equal(a.scale_b, b.scale_b));
  EXPECT_TRUE(at::equal(a.inventory_bh, a.inventory.last_b.unsqueeze(1).expand({4, 5})));
}

TEST(DemandModel, what_is_unknown_says_nothing_until_windows_train_it) {
  at::manual_seed(12);
  const DemandModel model(small_config(), 7);
  ModelInputs inputs = small_batch(model.config(), 4);
  inputs.statics_bs = at::zeros_like(inputs.statics_bs);
  const at::Tensor unknown = model.forward(inputs, nullptr).quantiles_bqh;
  for (const Parameter& parameter : model.parameters())
    if (parameter.name == "fusion.static.shift.weight") at::Tensor(parameter.tensor).detach().zero_();
  EXPECT_TRUE(at::equal(model.forward(inputs, nullptr).quantiles_bqh, unknown));
  const DemandModel drawn(small_config(), 7);
  EXPECT_GT(gradients(drawn, loss_of(drawn, inputs, nullptr))
                .at("fusion.static.0.weight")[0]
                .abs()
                .max()
                .item<double>(),
            0.0);
}

TEST(DemandModel,
     with_pretrained_weights_gradients_reach_shifts_at_once_all_paths_and_the_text_in_two_steps) {
  at::manual_seed(11);
  const Folder folder;
  DemandModel(small_config(), 7).save(folder.path());
  DemandModelConfig config = small_config();
  config.model.weights = (folder.path() / "tower").string();
  config.tower = tower_for(config.model, config.context, config.horizon);
  switch_all_on(config.model);
  config.model.masked = false;  // its own tests hide something first
  config.model.loss.masked = 0.0;
  const DemandModel model(config, 9);
  ModelInputs inputs = small_batch(config, 6);
  inputs.text_bw.requires_grad_();
  const Targets targets = testing::small_targets(config, 6);
  std::map<std::string, double> reached;
  for (int step = 0; step < 2; ++step) {
    inputs.text_bw.mutable_grad() = at::Tensor();
    const auto by_name = gradients(model, loss_sums(model.forward(inputs, nullptr), targets, config).loss);
    for (const char* name : {"fusion.static.shift.weight", "fusion.text.shift.weight"})
      EXPECT_GT(by_name.at(name).abs().max().item<double>(), 0.0) << name << " in step " << step;
    EXPECT_EQ(inputs.text_bw.grad().abs().max().item<double>() > 0.0, step == 1);
    const at::NoGradGuard no_grad;
    for (const Parameter& p : model.parameters()) {
      reached[p.name] = std::max(reached[p.name], by_name.at(p.name).abs().max().item<double>());
      at::Tensor(p.tensor).sub_(by_name.at(p.name), 0.01);
    }
  }
  for (const auto& [name, size] : reached) EXPECT_TRUE(size > 0.0 || name.starts_with("tower.")) << name;
  for (const char* name : {"fusion.level.bias", "heads.cumulated.weight", "heads.class.weight",
                           "heads.inventory.weight", "heads.dispersion.weight", "heads.zeros.weight"})
    EXPECT_EQ(reached.count(name), 1U) << name;
}

TEST(DemandModel, refuses_a_loss_of_a_mean_head_that_is_off) {
  ModelConfig config = small_config().model;
  config.mean_head = false;
  EXPECT_NO_THROW(config.validate());
  config.loss.mean = 3.0;
  EXPECT_THAT(testing::message_of([&] { config.validate(); }), ::testing::HasSubstr("of a head that is off"));
  config.loss.mean = 1.0;
  config.loss.mean_loss = LossConfig::MeanLoss::tweedie;
  EXPECT_THAT(testing::message_of([&] { config.validate(); }), ::testing::HasSubstr("of a head that is off"));
}

TEST(DemandModel, a_text_changes_its_own_windows_forecast_and_zeros_are_no_text) {
  at::manual_seed(12);
  const DemandModelConfig config = small_config();
  const DemandModel model(config, 7);
  ModelInputs inputs = small_batch(config, 3);
  const at::Tensor before = model.forward(inputs, nullptr).quantiles_bqh;
  inputs.text_bw = inputs.text_bw.clone();
  inputs.text_bw[1].neg_();
  const at::Tensor change = (model.forward(inputs, nullptr).quantiles_bqh - before).abs().amax({1, 2});
  EXPECT_EQ(change[0].item<float>(), 0.0F);
  EXPECT_GT(change[1].item<float>(), 1e-4F);
  EXPECT_EQ(change[2].item<float>(), 0.0F);
  // The same model without its text path.
  DemandModelConfig silent = config;
  silent.text_width = 0;
  const DemandModel without(silent, 7);
  inputs.text_bw.zero_();
  EXPECT_TRUE(at::equal(model.forward(inputs, nullptr).quantiles_bqh,
                        without.forward(inputs, nullptr).quantiles_bqh));
}

TEST_P(EveryTower, a_number_changes_its_own_windows_forecast_and_zeros_are_an_average_series) {
  at::manual_seed(23);
  const DemandModelConfig config = small_config(GetParam());
  const DemandModel model(config, 7);
  ModelInputs inputs = small_batch(config, 3);
  inputs.static_numbers_bn.zero_();
  const Forecast average = model.forward(inputs, nullptr);
  DemandModelConfig plain = config;
  plain.static_numbers = 0;
  EXPECT_TRUE(at::equal(average.quantiles_bqh, DemandModel(plain, 7).forward(inputs, nullptr).quantiles_bqh));
  inputs.static_numbers_bn[1][1] = 1.0;  // missing, which is another thing than average
  const Forecast changed = model.forward(inputs, nullptr);
  EXPECT_TRUE(at::equal(average.quantiles_bqh[0], changed.quantiles_bqh[0]));
  EXPECT_GT(largest_difference(average.quantiles_bqh[1], changed.quantiles_bqh[1]), 1e-4);
  inputs.static_numbers_bn = at::Tensor();
  EXPECT_THROW(model.forward(inputs, nullptr), Error);
}

TEST(DemandModel, model_json_from_before_texts_loads_as_a_model_without) {
  DemandModelConfig config = small_config();
  config.text_width = 0;
  nlohmann::json json = to_json(config);
  ASSERT_EQ(json.erase("text_width"), 1U);
  for (const char* key : {"text", "text_pooling", "text_length", "level"})
    ASSERT_EQ(json.at("model").erase(key), 1U);
  const DemandModelConfig read = demand_model_config_from_json(json);
  EXPECT_EQ(read.text_width, 0);
  EXPECT_EQ(read.model.text, "");
  EXPECT_EQ(demand_model_config_from_json(to_json(small_config())).text_width, 9);
}

// A model with a level, in which statics and text say something of it.
DemandModel with_level(const DemandModelConfig& config) {
  DemandModel model(config, 7);
  for (const Parameter& parameter : model.parameters())
    if (parameter.name.starts_with("fusion.level."))
      at::Tensor(parameter.tensor)
          .detach()
          .copy_(0.3 * at::cos(at::arange(parameter.tensor.numel(), at::kFloat)).view_as(parameter.tensor));
  return model;
}

TEST(Level, scales_windows_without_a_history_by_what_facts_and_words_let_expect) {
  at::manual_seed(21);
  DemandModelConfig config = small_config();
  config.model.level = true;
  const DemandModel model = with_level(config);
  std::map<std::string, at::Tensor> weights;
  for (const Parameter& parameter : model.parameters()) weights[parameter.name] = parameter.tensor.detach();
  ModelInputs inputs = small_batch(config, 3);
  inputs.context_bt[1].fill_(std::numeric_limits<float>::quiet_NaN());
  const Forecast forecast = model.forward(inputs, nullptr);
  std::vector<at::Tensor> embedded;
  for (std::int64_t i = 0; i < 2; ++i)
    embedded.push_back(
        weights.at(fmt::format("fusion.static.{}.weight", i))[inputs.statics_bs[1][i].item<std::int64_t>()]);
  const double expected =
      weights.at("fusion.level.bias").item<double>() +
      at::cat(embedded).dot(weights.at("fusion.level.static.weight")[0]).item<double>() +
      inputs.static_numbers_bn[1].dot(weights.at("fusion.level.number.weight")[0]).item<double>() +
      inputs.text_bw[1].dot(weights.at("fusion.level.text.weight")[0]).item<double>();
  EXPECT_NEAR(forecast.scale_b[1].item<double>(), std::exp(expected), 1e-5 * std::exp(expected));
  EXPECT_EQ(forecast.loc_b[1].item<float>(), 0.0F);
  // Windows with a history are as without a level, and so are all while it is zero.
  DemandModelConfig plain = config;
  plain.model.level = false;
  const Forecast without = DemandModel(plain, 7).forward(inputs, nullptr),
                 fresh = DemandModel(config, 7).forward(inputs, nullptr);
  EXPECT_TRUE(at::equal(fresh.quantiles_bqh, without.quantiles_bqh));
  EXPECT_TRUE(at::equal(fresh.scale_b, without.scale_b));
  for (const std::int64_t b : {0, 2})
    EXPECT_TRUE(at::equal(forecast.quantiles_bqh[b], without.quantiles_bqh[b]));
}

TEST(Level, learns_from_histories_and_from_nothing_else) {
  at::manual_seed(22);
  DemandModelConfig config = small_config();
  config.model.level = true;
  const DemandModel model = with_level(config);
  ModelInputs inputs = small_batch(config, 3);
  inputs.context_bt[1].fill_(std::numeric_limits<float>::quiet_NaN());
  const auto all = gradients(model, loss_of(model, inputs, nullptr));
  EXPECT_GT(all.at("fusion.level.text.weight").abs().max().item<float>(), 0.0F);
  EXPECT_GT(all.at("fusion.level.static.weight").abs().max().item<float>(), 0.0F);
  // A window without a history teaches it nothing, whatever it sells.
  const auto none = gradients(model, loss_of(model, rows_of(inputs, 1, 1), nullptr));
  for (const auto& [name, gradient] : none)
    EXPECT_TRUE(!name.starts_with("fusion.level.") || gradient.abs().max().item<float>() == 0.0F) << name;
  // It is least at the history's mean.
  const Forecast forecast = model.forward(inputs, nullptr);
  EXPECT_EQ(forecast.level_loss_b[1].item<float>(), 0.0F);
  double bias = 0;
  for (const Parameter& parameter : model.parameters())
    if (parameter.name == "fusion.level.bias") bias = parameter.tensor.item<double>();
  const double off = std::sqrt(forecast.level_loss_b[0].item<double>());
  for (const Parameter& parameter : model.parameters())
    if (parameter.name == "fusion.level.bias") at::Tensor(parameter.tensor).detach().fill_(bias + 1.0);
  const double now = std::sqrt(model.forward(inputs, nullptr).level_loss_b[0].item<double>());
  // The level stood above the mean, further than 1 below it, or was moved across it.
  EXPECT_NEAR(std::min(std::abs(std::abs(now - off) - 1.0), std::abs(now + off - 1.0)), 0.0, 1e-5);
}

TEST(Level, needs_facts_or_words) {
  DemandModelConfig config = small_config();
  config.model.level = true;
  config.static_cardinalities = {};
  EXPECT_NO_THROW(config.validate());
  config.text_width = 0;
  EXPECT_NO_THROW(config.validate());
  config.static_numbers = 0;
  EXPECT_THROW(config.validate(), Error);
}

TEST_P(EveryTower, a_windows_dropout_does_not_depend_on_its_batch) {
  at::manual_seed(5);
  const DemandModelConfig config = small_config(GetParam());
  const DemandModel model(config, 7);
  const ModelInputs inputs = small_batch(config, 6);
  const DropoutKeys all{17, 3, {40, 41, 42, 43, 44, 45}}, part{17, 3, {43, 44}};
  const Forecast whole = model.forward(inputs, &all), two = model.forward(rows_of(inputs, 3, 2), &part);
  EXPECT_LT(largest_difference(whole.quantiles_bqh.narrow(0, 3, 2), two.quantiles_bqh), 1e-5);
  const DropoutKeys later{17, 4, {40, 41, 42, 43, 44, 45}};
  EXPECT_GT(largest_difference(whole.quantiles_bqh, model.forward(inputs, &later).quantiles_bqh), 1e-3);
}

TEST_P(EveryTower, gradients_of_micro_batches_add_up_to_those_of_the_whole_batch) {
  at::manual_seed(6);
  const DemandModelConfig config = small_config(GetParam());
  const DemandModel model(config, 7);
  const ModelInputs inputs = small_batch(config, 6);
  const at::Tensor target = at::rand({6, config.horizon}) * 8.0, ones = at::ones({6});
  const auto loss = [&](std::int64_t first, std::int64_t count) {
    DropoutKeys keys{17, 3, {}};
    for (std::int64_t i = first; i < first + count; ++i) keys.sample_b.push_back(100 + i);
    return loss_sums(model.forward(rows_of(inputs, first, count), &keys),
                     {target.narrow(0, first, count), ones.narrow(0, first, count), {}}, config)
        .loss;
  };
  const auto whole = gradients(model, loss(0, 6));
  const auto parts = gradients(model, loss(0, 2) + loss(2, 3) + loss(5, 1));
  for (const auto& [name, gradient] : whole) {
    const double scale = gradient.abs().max().item<double>() + 1e-6;
    EXPECT_LT(largest_difference(gradient, parts.at(name)) / scale, 2e-5) << name;
  }
}

TEST_P(EveryTower, a_known_covariate_acts_on_its_own_step_and_a_past_value_on_none_after_the_origin) {
  at::manual_seed(7);
  const DemandModelConfig config = small_config(GetParam());
  const DemandModel model(config, 7);
  const ModelInputs inputs = small_batch(config, 1);
  ModelInputs changed = inputs;
  changed.known_bnu = inputs.known_bnu.clone();
  changed.known_bnu[0][1][config.context + 2] += 3.0;
  const at::Tensor difference =
      (model.forward(changed, nullptr).quantiles_bqh - model.forward(inputs, nullptr).quantiles_bqh).abs()[0];
  EXPECT_GT(difference.select(1, 2).max().item<double>(), 0.0);
  EXPECT_EQ(difference.narrow(1, 0, 2).max().item<double>(), 0.0);
  EXPECT_EQ(difference.narrow(1, 3, 3).max().item<double>(), 0.0);
}

TEST_P(EveryTower, an_overlong_context_forecasts_like_its_last_steps) {
  at::manual_seed(8);
  DemandModelConfig config = small_config(GetParam());
  config.context = 100;
  const DemandModel model(config, 7);
  const ModelInputs inputs = small_batch(config, 2);
  ModelInputs last = inputs;
  for (at::Tensor* tensor :
       {&last.context_bt, &last.past_bnt, &last.past_codes_bct, &last.known_bnu, &last.known_codes_bcu}) {
    *tensor = tensor->narrow(-1, 52, tensor->size(-1) - 52);
  }
  EXPECT_TRUE(
      at::equal(model.forward(inputs, nullptr).quantiles_bqh, model.forward(last, nullptr).quantiles_bqh));
}

TEST_P(EveryTower, series_without_any_or_with_constant_demand_give_finite_forecasts_and_gradients) {
  at::manual_seed(9);
  for (const double floor : {0.0, 1.0}) {
    DemandModelConfig config = small_config(GetParam());
    config.model.scale_floor = floor;
    const DemandModel model(config, 7);
    const ModelInputs inputs = testing::flat_batch(config);
    const Forecast forecast = model.forward(inputs, nullptr);
    EXPECT_TRUE(at::isfinite(forecast.demand_quantiles_bqh(0.0)).all().item<bool>());
    EXPECT_EQ(forecast.loc_b[1].item<float>(), 3.3F);
    EXPECT_FLOAT_EQ(forecast.scale_b[1].item<float>(), floor > 0 ? 1.0F : 1e-5F);
    for (const auto& [name, gradient] : gradients(model, loss_of(model, inputs, nullptr))) {
      EXPECT_TRUE(at::isfinite(gradient).all().item<bool>()) << name;
    }
  }
}

TEST(Normalise, equals_mean_and_deviation_of_the_observed_steps) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Normalised n = normalise(at::tensor({nan, 1.0F, nan, 2.0F, 6.0F}).view({1, 5}), 0.0);
  EXPECT_FLOAT_EQ(n.loc_b.item<float>(), 3.0F);
  EXPECT_FLOAT_EQ(n.scale_b.item<float>(), std::sqrt(14.0F / 3.0F));
  EXPECT_EQ(n.scaled_bt[0][0].item<float>(), 0.0F);
  EXPECT_FLOAT_EQ(n.scaled_bt[0][4].item<float>(), 3.0F / std::sqrt(14.0F / 3.0F));
  EXPECT_FLOAT_EQ(normalise(at::tensor({1.0F, 2.0F, 6.0F}).view({1, 3}), 5.0).scale_b.item<float>(), 5.0F);
}

TEST(IntoPatches, pads_zeros_on_the_left_and_keeps_a_columns_steps_together) {
  const at::Tensor columns = at::arange(1, 11, at::kFloat).view({1, 2, 5});
  const at::Tensor expected =
      at::tensor({0.F, 1.F, 2.F, 0.F, 6.F, 7.F, 3.F, 4.F, 5.F, 8.F, 9.F, 10.F}).view({1, 2, 6});
  EXPECT_TRUE(at::equal(into_patches(columns, 3, 3), expected));
}

TEST(Forecast, demand_is_sorted_over_levels_and_not_below_the_floor) {
  Forecast forecast;
  forecast.quantiles_bqh = at::tensor({2.0F, -9.0F, 1.0F}).view({1, 3, 1});
  forecast.mean_bh = at::tensor({-5.0F}).view({1, 1});
  forecast.loc_b = at::tensor({4.0F});
  forecast.scale_b = at::tensor({2.0F});
  EXPECT_TRUE(at::equal(forecast.demand_quantiles_bqh(0.0).flatten(), at::tensor({0.0F, 6.0F, 8.0F})));
  EXPECT_EQ(forecast.demand_mean_bh(0.0).item<float>(), 0.0F);
}

// Runs `action` and returns the message of the Error it throws.
template <typename Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(DemandModelFiles, a_missing_a_surplus_and_a_misshapen_tensor_are_named) {
  const Folder folder;
  DemandModelConfig config = small_config();
  DemandModel(config, 7).save(folder.path());
  const auto rewrite = [&](const DemandModelConfig& changed) {
    write_file_atomically(folder.path() / "model.json", to_json(changed).dump());
    return testing::message_of([&] { DemandModel::load(folder.path()); });
  };
  config.static_cardinalities = {5, 7, 2};
  EXPECT_THAT(rewrite(config), ::testing::HasSubstr("fusion.static.2.weight"));
  config = small_config();
  config.known_cardinalities = {4};
  EXPECT_THAT(rewrite(config), ::testing::HasSubstr("fusion."));
  config = small_config();
  config.tower.d_ff = 41;
  EXPECT_THAT(rewrite(config), ::testing::HasSubstr("[40, 16]"));
}

TEST_P(EveryTower, forward_loss_and_backward_stay_on_the_device_of_the_parameters) {
  at::manual_seed(5);
  const DemandModelConfig config = small_config(GetParam());
  const ModelInputs inputs = small_batch(config, 4);
  const DropoutKeys keys{3, 1, {0, 1, 2, 3}};
  const DemandModel model(config, 7);
  EXPECT_EQ(model.device(), at::Device(at::kCPU));
  put_on_meta(model.parameters());
  EXPECT_EQ(model.device(), at::Device(at::kMeta));
  for (const DropoutKeys* dropout : {static_cast<const DropoutKeys*>(nullptr), &keys}) {
    const Forecast forecast = model.forward(inputs, dropout);
    EXPECT_EQ(forecast.quantiles_bqh.sizes(), at::IntArrayRef({4, 3, 6}));
    ASSERT_TRUE(forecast.quantiles_bqh.is_meta());
    // Nothing is read before backward: reading waits for a device, and the meta device refuses it.
    const LossSums sums = loss_sums(forecast, {at::rand({4, 6}), at::ones({4}), {}}, config);
    EXPECT_TRUE(sums.valid_targets.is_meta());
    sums.loss.backward();
    for (const Parameter& parameter : model.parameters()) {
      EXPECT_TRUE(parameter.tensor.is_meta()) << parameter.name;
      if (parameter.tensor.grad().defined()) {
        EXPECT_TRUE(parameter.tensor.grad().is_meta()) << parameter.name;
      }
    }
  }
}

TEST(DemandModel, moved_to_where_it_is_it_stays_the_same) {
  const DemandModel model(small_config(), 7);
  const void* before = model.parameters().front().tensor.const_data_ptr();
  move_to(at::kCPU, model.parameters());
  EXPECT_EQ(model.parameters().front().tensor.const_data_ptr(), before);
}

}  // namespace
}  // namespace shelfcast::models
