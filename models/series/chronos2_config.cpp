#include "models/series/chronos2_config.h"

#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "models/published_config.h"

namespace shelfcast::models {

namespace {

using nlohmann::json;

std::string activation_from(const ConfigKeys& keys) {
  std::string name;
  keys.read("feed_forward_proj", name, std::string("relu"));
  if (name.starts_with("gated-")) {
    throw data_error(fmt::format("config.json has feed_forward_proj \"{}\"", name),
                     "Chronos-2 has no gated layers; the reference package refuses them, too");
  }
  keys.require_activation("feed_forward_proj", name);
  return name;
}

void read_patching(const ConfigKeys& keys, Chronos2Config& c) {
  keys.read("context_length", c.context_length);
  keys.read("input_patch_size", c.patch_size);
  keys.read("input_patch_stride", c.input_patch_stride);
  std::int64_t output_patch_size = 0;
  keys.read("output_patch_size", output_patch_size);
  if (output_patch_size != c.patch_size) {
    throw data_error(fmt::format("config.json has output_patch_size {}", output_patch_size),
                     fmt::format("it must equal input_patch_size, {}", c.patch_size));
  }
  keys.read("max_output_patches", c.max_output_patches, std::int64_t{1});
  keys.read("time_encoding_scale", c.time_encoding_scale, c.context_length);
  keys.read("quantiles", c.quantiles);
  keys.read("use_reg_token", c.use_reg_token, false);
  keys.read("use_arcsinh", c.use_arcsinh, false);
}

Chronos2Config read(const json& j) {
  const ConfigKeys keys(j);
  if (!j.contains("chronos_config")) {
    throw data_error("config.json has no \"chronos_config\"", "it does not describe a Chronos-2 model");
  }
  std::string pipeline;
  keys.read("chronos_pipeline_class", pipeline, std::string("Chronos2Pipeline"));
  if (pipeline != "Chronos2Pipeline") {
    throw data_error(fmt::format("config.json has chronos_pipeline_class \"{}\"", pipeline),
                     "Chronos-2 models have \"Chronos2Pipeline\"");
  }
  Chronos2Config c;
  keys.read("d_model", c.d_model, std::int64_t{512});
  keys.read("d_kv", c.d_kv, std::int64_t{64});
  keys.read("d_ff", c.d_ff, std::int64_t{2048});
  keys.read("num_layers", c.num_layers, std::int64_t{6});
  keys.read("num_heads", c.num_heads, std::int64_t{8});
  keys.read("dropout_rate", c.dropout_rate, 0.1);
  keys.read("layer_norm_epsilon", c.layer_norm_epsilon, 1e-6);
  keys.read("initializer_factor", c.initializer_factor, 0.05);
  keys.read("rope_theta", c.rope_theta, 10000.0);
  c.activation = activation_from(keys);
  read_patching(keys.part("chronos_config"), c);
  return c;
}

void require_positive(std::int64_t value, const char* field) {
  if (value < 1) throw input_error(fmt::format("{} is {}", field, value), "it must be at least 1");
}

void require_above_zero(double value, const char* field) {
  if (!(value > 0.0)) throw input_error(fmt::format("{} is {}", field, value), "it must be positive");
}

}  // namespace

void Chronos2Config::validate() const {
  require_positive(d_model, "d_model");
  require_positive(d_kv, "d_kv");
  require_positive(d_ff, "d_ff");
  require_positive(num_layers, "num_layers");
  require_positive(num_heads, "num_heads");
  require_positive(context_length, "context_length");
  require_positive(patch_size, "input_patch_size");
  require_positive(input_patch_stride, "input_patch_stride");
  require_positive(max_output_patches, "max_output_patches");
  require_positive(time_encoding_scale, "time_encoding_scale");
  if (d_kv % 2 != 0) {
    throw input_error(fmt::format("d_kv is {}", d_kv), "rotary positions turn pairs, so it must be even");
  }
  if (input_patch_stride > patch_size) {
    throw input_error(fmt::format("input_patch_stride is {}", input_patch_stride),
                      fmt::format("it must not exceed input_patch_size, {}", patch_size));
  }
  if (!(dropout_rate >= 0.0 && dropout_rate < 1.0)) {
    throw input_error(fmt::format("dropout_rate is {}", dropout_rate),
                      "a dropout rate is at least 0 and below 1");
  }
  require_above_zero(layer_norm_epsilon, "layer_norm_epsilon");
  require_above_zero(initializer_factor, "initializer_factor");
  require_above_zero(rope_theta, "rope_theta");
  if (quantiles.empty()) throw input_error("quantiles is empty", "", "name at least one level, such as 0.5");
  for (std::size_t i = 0; i < quantiles.size(); ++i) {
    const bool ascending = i == 0 || quantiles[i] > quantiles[i - 1];
    if (!(quantiles[i] > 0.0 && quantiles[i] < 1.0) || !ascending) {
      throw input_error(fmt::format("quantiles holds {}", quantiles[i]),
                        "levels lie between 0 and 1 and ascend");
    }
  }
}

TowerConfig tower_config(const Chronos2Config& c) {
  TowerConfig t;
  t.architecture = Architecture::chronos2;
  t.d_model = c.d_model;
  t.d_kv = c.d_kv;
  t.d_ff = c.d_ff;
  t.num_layers = c.num_layers;
  t.num_decoder_layers = 0;
  t.num_heads = c.num_heads;
  t.activation = c.activation;
  t.dropout_rate = c.dropout_rate;
  t.layer_norm_epsilon = c.layer_norm_epsilon;
  t.initializer_factor = c.initializer_factor;
  t.context_length = c.context_length;
  t.prediction_length = c.prediction_length();
  t.input_patch_size = c.patch_size;
  t.input_patch_stride = c.input_patch_stride;
  t.quantiles = c.quantiles;
  t.use_reg_token = c.use_reg_token;
  t.rope_theta = c.rope_theta;
  t.time_encoding_scale = c.time_encoding_scale;
  t.use_arcsinh = c.use_arcsinh;
  return t;
}

Chronos2Config chronos2_config(const TowerConfig& t) {
  Chronos2Config c;
  c.d_model = t.d_model;
  c.d_kv = t.d_kv;
  c.d_ff = t.d_ff;
  c.num_layers = t.num_layers;
  c.num_heads = t.num_heads;
  c.activation = t.activation;
  c.dropout_rate = t.dropout_rate;
  c.layer_norm_epsilon = t.layer_norm_epsilon;
  c.initializer_factor = t.initializer_factor;
  c.context_length = t.context_length;
  c.patch_size = t.input_patch_size;
  c.input_patch_stride = t.input_patch_stride;
  c.max_output_patches = (t.prediction_length + t.input_patch_size - 1) / t.input_patch_size;
  c.quantiles = t.quantiles;
  c.use_reg_token = t.use_reg_token;
  c.rope_theta = t.rope_theta;
  c.time_encoding_scale = t.time_encoding_scale;
  c.use_arcsinh = t.use_arcsinh;
  return c;
}

Chronos2Config named_chronos2(const std::string& name) {
  Chronos2Config c;
  if (name == "chronos-2") return c;
  if (name == "chronos-2-small") {
    c.d_model = 512;
    c.d_ff = 2048;
    c.num_layers = 6;
    c.num_heads = 8;
    return c;
  }
  if (name == "chronos-2-nano") {
    c.d_model = 32;
    c.d_kv = 8;
    c.d_ff = 64;
    c.num_layers = 2;
    c.num_heads = 4;
    return c;
  }
  const std::vector<std::string> names(std::begin(kChronos2Names), std::end(kChronos2Names));
  const std::string near = nearest_name(name, names);
  throw input_error(fmt::format("there is no Chronos-2 size \"{}\"", name), "",
                    near.empty() ? fmt::format("choose one of {}", fmt::join(names, ", "))
                                 : fmt::format("did you mean \"{}\"?", near));
}

json to_published_json(const Chronos2Config& c) {
  return {{"architectures", {"Chronos2Model"}},
          {"chronos_pipeline_class", "Chronos2Pipeline"},
          {"model_type", "t5"},
          {"is_encoder_decoder", false},
          {"torch_dtype", "float32"},
          {"d_model", c.d_model},
          {"d_kv", c.d_kv},
          {"d_ff", c.d_ff},
          {"num_layers", c.num_layers},
          {"num_heads", c.num_heads},
          {"dropout_rate", c.dropout_rate},
          {"layer_norm_epsilon", c.layer_norm_epsilon},
          {"initializer_factor", c.initializer_factor},
          {"rope_theta", c.rope_theta},
          {"feed_forward_proj", c.activation},
          {"dense_act_fn", c.activation},
          {"is_gated_act", false},
          {"vocab_size", c.use_reg_token ? 2 : 1},
          {"pad_token_id", 0},
          {"reg_token_id", 1},
          {"chronos_config",
           {{"context_length", c.context_length},
            {"input_patch_size", c.patch_size},
            {"input_patch_stride", c.input_patch_stride},
            {"output_patch_size", c.patch_size},
            {"max_output_patches", c.max_output_patches},
            {"time_encoding_scale", c.time_encoding_scale},
            {"quantiles", c.quantiles},
            {"use_reg_token", c.use_reg_token},
            {"use_arcsinh", c.use_arcsinh}}}};
}

Chronos2Config chronos2_config_from_published_json(const json& j) {
  Chronos2Config config = read(j);
  config.validate();
  return config;
}

}  // namespace shelfcast::models
