// Small demand models and batches for tests: every kind of column, a few tokens, milliseconds a forward.
#pragma once

#include <torch/types.h>

#include <cmath>
#include <limits>

#include "models/demand_model.h"

namespace shelfcast::models::testing {

inline TowerConfig small_tower(Architecture architecture = Architecture::chronos_bolt) {
  TowerConfig tower;
  tower.architecture = architecture;
  tower.d_model = 24;
  tower.d_kv = 8;
  tower.d_ff = 40;
  tower.num_layers = tower.num_decoder_layers = 2;
  tower.num_heads = 2;
  if (architecture != Architecture::chronos_bolt) {
    tower.num_decoder_layers = 0;
    tower.use_reg_token = false;
  }
  tower.initializer_factor = 1.0;
  tower.context_length = 48;
  tower.prediction_length = 6;
  tower.input_patch_size = tower.input_patch_stride = 8;
  if (architecture == Architecture::chronos2) {
    tower.use_reg_token = tower.use_arcsinh = true;
    tower.time_encoding_scale = tower.context_length;
    tower.input_patch_size = tower.input_patch_stride = 4;
    tower.prediction_length = 8;  // two patches, the second not of whole use
  }
  tower.quantiles = {0.1, 0.5, 0.9};
  return tower;
}

// A tower, two numeric and two categorical columns of each kind, two statics, texts.
inline DemandModelConfig small_config(Architecture architecture = Architecture::chronos_bolt) {
  DemandModelConfig config;
  config.tower = small_tower(architecture);
  config.model.quantiles = config.tower.quantiles;
  config.model.known_hidden = 10;
  config.context = 44;
  config.horizon = 6;
  config.past_numeric = 1;
  config.known_numeric = 2;
  config.past_cardinalities = {3};
  config.known_cardinalities = {4, 2};
  config.static_cardinalities = {5, 7};
  config.static_numbers = 2;
  config.text_width = 9;
  return config;
}

// Every head, and what heads read beside columns.
inline void switch_all_on(ModelConfig& model) {
  model.season = 7;
  model.level = model.cumulated = model.inventory = model.masked = true;
  model.loss.cumulated = model.loss.inventory = model.loss.masked = 1.0;
  model.classes = {0.2, 0.7};
  model.loss.classes = 1.0;
  model.counts = ModelConfig::Counts::zero_inflated;
  model.loss.counts = 1.0;
}

inline at::Tensor random_codes(at::IntArrayRef shape, std::int64_t cardinality) {
  return at::randint(0, cardinality, shape, at::kInt);
}

// `windows` windows of non-negative demand, some of it missing. Draws from LibTorch's generator: seed it
// first.
inline ModelInputs small_batch(const DemandModelConfig& config, std::int64_t windows) {
  const std::int64_t t = config.context, u = t + config.horizon;
  ModelInputs inputs;
  inputs.context_bt = at::rand({windows, t}) * 10.0;
  inputs.context_bt.masked_fill_(at::rand({windows, t}) < 0.1, std::numeric_limits<float>::quiet_NaN());
  inputs.past_bnt = at::randn({windows, config.past_numeric, t});
  inputs.known_bnu = at::randn({windows, config.known_numeric, u});
  std::vector<at::Tensor> past, known, statics;
  for (const auto cardinality : config.past_cardinalities)
    past.push_back(random_codes({windows, 1, t}, cardinality));
  for (const auto cardinality : config.known_cardinalities)
    known.push_back(random_codes({windows, 1, u}, cardinality));
  for (const auto cardinality : config.static_cardinalities)
    statics.push_back(random_codes({windows, 1}, cardinality));
  if (!past.empty()) inputs.past_codes_bct = at::cat(past, 1);
  if (!known.empty()) inputs.known_codes_bcu = at::cat(known, 1);
  if (!statics.empty()) inputs.statics_bs = at::cat(statics, 1);
  if (config.static_numbers > 0) inputs.static_numbers_bn = at::randn({windows, 2 * config.static_numbers});
  if (config.text_width > 0) inputs.text_bw = at::randn({windows, config.text_width});
  if (config.model.inventory) inputs.inventory_bt = at::randint(0, 40, {windows, t}, at::kFloat);
  return inputs;
}

// Something for every head to learn, drawn like small_batch.
inline Targets small_targets(const DemandModelConfig& config, std::int64_t windows) {
  const std::vector<std::int64_t> shape = {windows, config.horizon};
  Targets targets{at::randint(0, 9, shape, at::kFloat), at::ones({windows}), {}};
  targets.class_bh = at::randint(0, 3, shape, at::kLong);
  targets.inventory_bh = at::randint(0, 40, shape, at::kFloat);
  return targets;
}

// Row `row` of every tensor.
inline ModelInputs rows_of(const ModelInputs& inputs, std::int64_t first, std::int64_t count) {
  ModelInputs result = inputs;
  for (at::Tensor* tensor : result.tensors())
    if (tensor->defined()) *tensor = tensor->narrow(0, first, count);
  return result;
}

inline double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

// Three windows: without any demand, with the same on every step, with none sold.
inline ModelInputs flat_batch(const DemandModelConfig& config) {
  ModelInputs inputs = small_batch(config, 3);
  inputs.context_bt[0].fill_(std::numeric_limits<float>::quiet_NaN());
  inputs.context_bt[1].fill_(3.3F);
  inputs.context_bt[2].fill_(0.0F);
  return inputs;
}

}  // namespace shelfcast::models::testing
