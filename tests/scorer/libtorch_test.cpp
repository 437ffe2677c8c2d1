// The scorer's forward against LibTorch's, through the files one saves and the other loads.
#include <torch/types.h>

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <functional>

#include "base/random.h"
#include "models/demand_model.h"
#include "models/series/series_model.h"
#include "scorer/bundle.h"
#include "scorer/forecaster.h"
#include "tests/scorer/random_model.h"

namespace shelfcast::scorer::testing {
namespace {

models::DemandModelConfig to_models(const ModelConfig& c) {
  models::DemandModelConfig m;
  const TowerConfig& t = c.tower;
  m.tower.d_model = t.d_model, m.tower.d_kv = t.d_kv, m.tower.d_ff = t.d_ff, m.tower.num_heads = t.num_heads;
  m.tower.num_layers = t.num_layers, m.tower.num_decoder_layers = t.num_decoder_layers;
  m.tower.relative_attention_num_buckets = t.buckets,
  m.tower.relative_attention_max_distance = t.max_distance;
  m.tower.layer_norm_epsilon = t.epsilon;
  m.tower.context_length = t.context_length, m.tower.prediction_length = t.prediction_length;
  m.tower.input_patch_size = m.model.patch = t.patch, m.tower.input_patch_stride = t.stride;
  m.tower.activation = t.activation, m.tower.gated = t.gated;
  m.tower.quantiles = t.quantiles, m.tower.use_reg_token = t.use_reg_token;
  m.model.quantiles = c.quantiles, m.model.mean_head = c.mean_head, m.model.scale_floor = c.scale_floor;
  if (t.architecture == Architecture::chronos2) m.tower.architecture = models::Architecture::chronos2;
  m.tower.rope_theta = t.rope_theta, m.tower.time_encoding_scale = t.time_scale;
  m.tower.use_arcsinh = t.use_arcsinh;
  using Model = models::ModelConfig;
  m.model.counts = c.count_parameters == 0   ? Model::Counts::none
                   : c.count_parameters == 1 ? Model::Counts::negative_binomial
                                             : Model::Counts::zero_inflated;
  m.model.loss.counts = c.count_parameters > 0 ? 1.0 : 0.0;
  if (c.masked) m.model.masked = true, m.model.loss.masked = 1.0;
  if (c.inventory) m.model.inventory = true, m.model.loss.inventory = 1.0;
  if (c.cumulated) m.model.cumulated = true, m.model.loss.cumulated = 1.0;
  if (c.classes > 0) m.model.classes = {0.25, 0.75}, m.model.loss.classes = 1.0;
  if (c.counts_written) m.model.written = Model::WrittenQuantiles::counts;
  if (c.positive_means) m.model.loss.mean_loss = models::LossConfig::MeanLoss::tweedie;
  m.model.level = c.level;
  m.model.groups = c.groups;
  m.model.static_width = c.static_width, m.model.code_width = c.code_width,
  m.model.known_hidden = c.known_hidden;
  m.model.season = c.season;
  m.model.closures = c.closures;
  m.context = c.context, m.horizon = c.horizon;
  m.past_numeric = c.past_numeric, m.known_numeric = c.known_numeric;
  m.open_column = c.open_column;
  m.past_cardinalities = c.past_cardinalities, m.known_cardinalities = c.known_cardinalities;
  m.static_cardinalities = c.static_cardinalities;
  m.static_numbers = c.static_numbers;
  m.text_width = c.text_width;
  return m;
}

// Fresh models have zero biases and unit norms, which would hide mistakes: every number is moved a little.
void disturb(const models::DemandModel& model) {
  for (const models::Parameter& parameter : model.parameters()) {
    RandomStream random(key_of(parameter.name));
    at::Tensor flat = parameter.tensor.detach().view({-1});
    auto* values = flat.data_ptr<float>();
    for (std::int64_t i = 0; i < flat.numel(); ++i) values[i] += static_cast<float>(0.05 * random.normal());
  }
}

template <typename T>
at::Tensor view(std::vector<T>& values, std::vector<std::int64_t> shape) {
  const auto type = std::is_same_v<T, float> ? at::kFloat : at::kInt;
  return at::from_blob(values.data(), shape, at::TensorOptions().dtype(type));
}

// The vector of each series' text, zeros where it has none.
at::Tensor texts_of(const RandomInputs& in, const ModelConfig& c, std::int64_t n) {
  at::Tensor text_bw = at::zeros({n, c.text_width});
  for (std::int64_t b = 0; b < n && c.text_width > 0; ++b)
    if (const std::int32_t row = in.text_row[static_cast<std::size_t>(b)]; row >= 0)
      std::copy_n(in.text.begin() + row * c.text_width, c.text_width,
                  text_bw.data_ptr<float>() + b * c.text_width);
  return text_bw;
}

models::ModelInputs to_models(RandomInputs& in, const ModelConfig& c, std::int64_t n) {
  const std::int64_t span = c.context + c.horizon;
  return {view(in.context, {n, c.context}),
          view(in.past, {n, c.past_numeric, c.context}),
          view(in.past_codes, {n, std::ssize(c.past_cardinalities), c.context}),
          view(in.known, {n, c.known_numeric, span}),
          view(in.known_codes, {n, std::ssize(c.known_cardinalities), span}),
          view(in.statics, {n, std::ssize(c.static_cardinalities)}),
          texts_of(in, c, n),
          view(in.static_numbers, {n, 2 * c.static_numbers}),
          view(in.context, {n, c.context})};
}

// The largest difference in units of the tolerance of golden cases.
double worst(const std::vector<float>& got, const at::Tensor& want, const at::Tensor& scale,
             bool counts = false) {
  const at::Tensor flat = want.contiguous().view({want.size(0), -1});
  double most = 0.0;
  for (std::int64_t b = 0; b < flat.size(0); ++b)
    for (std::int64_t i = 0; i < flat.size(1); ++i) {
      const double expected = flat.data_ptr<float>()[b * flat.size(1) + i];
      const double difference = std::abs(got[b * flat.size(1) + i] - expected);
      const double allowed =
          golden_tolerance(scale.data_ptr<float>()[b], expected) + (counts ? count_step(expected) : 0.0);
      most = std::max(most, difference / allowed);
    }
  return most;
}

void expect_equal_forecasts(const ModelConfig& config, std::int64_t series) {
  const at::NoGradGuard no_gradients;
  const models::DemandModel torch_model(to_models(config), 11);
  disturb(torch_model);
  const ScratchFolder folder;
  torch_model.save(folder.path() / "model");
  RandomInputs inputs(config, series);
  const models::Forecast want = torch_model.forward(to_models(inputs, config, series), nullptr);
  const at::Tensor scale = want.scale_b.detach().contiguous();
  const at::Tensor quantiles = want.demand_quantiles_bqh(0.0).detach();
  for (const Isa isa : isas_here()) {
    SCOPED_TRACE(to_string(isa));
    const DemandModel model(folder.path() / "model", ops_for(isa));
    const Forecasts got = forecast(model, inputs.view, {}, 1);
    EXPECT_LT(worst(got.quantiles_bqh, quantiles, scale, config.counts_written), 1.0);
    const at::Tensor mean = config.mean_head
                                ? want.demand_mean_bh(0.0).detach()
                                : models::interpolate_levels(quantiles, config.quantiles, {0.5}).select(1, 0);
    EXPECT_LT(worst(got.mean_bh, mean, scale), 1.0);
  }
}

std::int64_t one_of(RandomStream& random, std::initializer_list<std::int64_t> choices) {
  return *(choices.begin() + random.below(choices.size()));
}

// What does not depend on the tower.
void draw_inputs_and_heads(ModelConfig& c, RandomStream& random) {
  c.tower.quantiles = {0.05, 0.1, 0.3, 0.5, 0.9, 0.95};
  c.context = one_of(random, {1, 5, 28, 100}), c.horizon = one_of(random, {1, 7, 30});
  c.past_numeric = one_of(random, {0, 2}), c.known_numeric = one_of(random, {0, 3});
  if (one_of(random, {0, 1}) != 0) c.past_cardinalities = {};
  if (one_of(random, {0, 1}) != 0) c.known_cardinalities = {};
  if (one_of(random, {0, 1}) != 0) c.static_cardinalities = {};
  if (one_of(random, {0, 1}) != 0) c.text_width = 0;
  c.mean_head = one_of(random, {0, 1}) != 0;
  c.scale_floor = one_of(random, {0, 1}) != 0 ? 0.5 : 0.0;
  if (c.mean_head) {
    c.count_parameters = one_of(random, {0, 0, 1, 2});
    c.classes = one_of(random, {0, 3});
    c.cumulated = one_of(random, {0, 1}) != 0;
    c.inventory = one_of(random, {0, 1}) != 0;
    c.counts_written = c.count_parameters > 0 && one_of(random, {0, 1}) != 0;
    c.positive_means = c.count_parameters > 0 || one_of(random, {0, 0, 1}) != 0;
  }
  if (!c.mean_head) c.quantiles = {0.1, 0.3, 0.9};  // whose median stands for the mean
  c.static_numbers = one_of(random, {0, 0, 3});
  c.level = one_of(random, {0, 1}) != 0 &&
            (!c.static_cardinalities.empty() || c.static_numbers > 0 || c.text_width > 0);
  if (c.known_numeric > 0) c.open_column = one_of(random, {-1, 0, c.known_numeric - 1});
  c.closures = c.open_column >= 0 && one_of(random, {0, 1}) != 0;
}

TEST(LibTorch, forecasts_the_same_from_saved_models_of_many_shapes) {
  // Shapes drawn at random, each choice about as often as not.
  for (std::uint64_t draw = 0; draw < 24; ++draw) {
    SCOPED_TRACE(draw);
    RandomStream random(mix(5, draw));
    ModelConfig c = small_config();
    c.tower.patch = one_of(random, {1, 4, 8, 16});
    c.tower.stride =
        one_of(random, {c.tower.patch, c.tower.patch, (c.tower.patch + 1) / 2, c.tower.patch + 1});
    constexpr std::array kActivations = {"relu",   "relu",  "gelu",       "gelu_new", "quick_gelu",
                                         "silu",   "mish",  "tanh",       "sigmoid",  "relu6",
                                         "linear", "relu2", "leaky_relu", "gelu_10",  "laplace"};
    c.tower.activation = kActivations[static_cast<std::size_t>(random.below(kActivations.size()))];
    c.tower.gated = one_of(random, {0, 0, 1}) != 0;
    c.tower.d_model = one_of(random, {8, 24, 64}), c.tower.d_ff = one_of(random, {16, 40, 128});
    c.tower.num_heads = one_of(random, {1, 2, 4}), c.tower.d_kv = one_of(random, {3, 8, 16});
    c.tower.num_layers = one_of(random, {1, 2, 3}), c.tower.num_decoder_layers = one_of(random, {1, 2, 3});
    c.tower.use_reg_token = one_of(random, {0, 1}) != 0;
    c.tower.context_length = one_of(random, {16, 64, 512});
    c.tower.prediction_length = 30;
    draw_inputs_and_heads(c, random);
    expect_equal_forecasts(c, 9);
  }
}

TEST(LibTorch, forecasts_the_same_from_saved_models_with_chronos2_towers_of_many_shapes) {
  for (std::uint64_t draw = 0; draw < 16; ++draw) {
    SCOPED_TRACE(draw);
    RandomStream random(mix(6, draw));
    ModelConfig c = small_chronos2_config();
    c.tower.patch = one_of(random, {1, 4, 8, 16});
    c.tower.stride = one_of(random, {c.tower.patch, c.tower.patch, (c.tower.patch + 1) / 2});
    constexpr std::array kActivations = {"relu", "relu", "gelu", "gelu_new", "silu", "mish", "tanh"};
    c.tower.activation = kActivations[static_cast<std::size_t>(random.below(kActivations.size()))];
    c.tower.d_model = one_of(random, {8, 24, 64}), c.tower.d_ff = one_of(random, {16, 40, 128});
    c.tower.num_heads = one_of(random, {1, 2, 4}), c.tower.d_kv = one_of(random, {2, 8, 16});
    c.tower.num_layers = one_of(random, {1, 2, 3});
    c.tower.use_reg_token = one_of(random, {0, 1}) != 0, c.tower.use_arcsinh = one_of(random, {0, 1}) != 0;
    c.tower.context_length = one_of(random, {16, 64, 512});
    c.tower.prediction_length = 32;
    draw_inputs_and_heads(c, random);
    c.groups = c.past_numeric + c.known_numeric > 0 && one_of(random, {0, 1}) != 0;
    c.masked = c.tower.stride == c.tower.patch;
    expect_equal_forecasts(c, 9);
  }
}

TEST(LibTorch, forecasts_the_same_at_the_published_tiny_size) {
  ModelConfig c = small_config();
  const auto tiny = models::named_tower("bolt-tiny");
  c.tower.d_model = tiny.d_model, c.tower.d_kv = tiny.d_kv, c.tower.d_ff = tiny.d_ff;
  c.tower.num_heads = tiny.num_heads, c.tower.num_layers = tiny.num_layers;
  c.tower.num_decoder_layers = tiny.num_decoder_layers;
  c.tower.patch = c.tower.stride = 16, c.tower.context_length = 2048, c.tower.prediction_length = 64;
  c.tower.quantiles = c.quantiles = tiny.quantiles;
  c.context = 512, c.horizon = 64;
  expect_equal_forecasts(c, 6);
}

}  // namespace
}  // namespace shelfcast::scorer::testing
