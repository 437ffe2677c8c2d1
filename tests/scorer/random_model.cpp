#include "tests/scorer/random_model.h"

#include <array>
#include <unistd.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/random.h"

namespace shelfcast::scorer::testing {
namespace {

using Shape = std::vector<std::int64_t>;

std::map<std::string, Shape> attention_shapes(const TowerConfig& t, const std::string& prefix) {
  const std::int64_t inner = t.num_heads * t.d_kv;
  return {{prefix + "q.weight", {inner, t.d_model}},
          {prefix + "k.weight", {inner, t.d_model}},
          {prefix + "v.weight", {inner, t.d_model}},
          {prefix + "o.weight", {t.d_model, inner}}};
}

std::map<std::string, Shape> stack_shapes(const TowerConfig& t, const std::string& stack, std::int64_t layers,
                                          bool decoder) {
  std::map<std::string, Shape> shapes{{stack + "final_layer_norm.weight", {t.d_model}}};
  for (std::int64_t i = 0; i < layers; ++i) {
    const std::string block = stack + "block." + std::to_string(i) + ".layer.";
    const std::string feed = block + (decoder ? "2." : "1.");
    shapes.merge(attention_shapes(t, block + "0.SelfAttention."));
    shapes[block + "0.layer_norm.weight"] = {t.d_model};
    if (i == 0) shapes[block + "0.SelfAttention.relative_attention_bias.weight"] = {t.buckets, t.num_heads};
    if (decoder) {
      shapes.merge(attention_shapes(t, block + "1.EncDecAttention."));
      shapes[block + "1.layer_norm.weight"] = {t.d_model};
    }
    shapes[feed + "layer_norm.weight"] = {t.d_model};
    for (const char* inside : t.gated ? std::vector{"wi_0", "wi_1"} : std::vector{"wi"})
      shapes[feed + "DenseReluDense." + inside + ".weight"] = {t.d_ff, t.d_model};
    shapes[feed + "DenseReluDense.wo.weight"] = {t.d_model, t.d_ff};
  }
  return shapes;
}

std::map<std::string, Shape> chronos2_encoder_shapes(const TowerConfig& t) {
  std::map<std::string, Shape> shapes{{"encoder.final_layer_norm.weight", {t.d_model}}};
  for (std::int64_t i = 0; i < t.num_layers; ++i) {
    const std::string block = "encoder.block." + std::to_string(i) + ".layer.";
    for (const char* layer : {"0.", "1."})
      shapes.merge(attention_shapes(t, block + layer + "self_attention."));
    for (const char* layer : {"0.", "1.", "2."}) shapes[block + layer + "layer_norm.weight"] = {t.d_model};
    shapes[block + "2.mlp.wi.weight"] = {t.d_ff, t.d_model};
    shapes[block + "2.mlp.wo.weight"] = {t.d_model, t.d_ff};
  }
  return shapes;
}

std::map<std::string, Shape> residual_block(const std::string& name, std::int64_t in, std::int64_t hidden,
                                            std::int64_t out) {
  return {{name + "hidden_layer.weight", {hidden, in}},  {name + "hidden_layer.bias", {hidden}},
          {name + "output_layer.weight", {out, hidden}}, {name + "output_layer.bias", {out}},
          {name + "residual_layer.weight", {out, in}},   {name + "residual_layer.bias", {out}}};
}

std::map<std::string, Shape> fusion_shapes(const ModelConfig& c) {
  const std::int64_t width = c.tower.d_model, columns = c.patch_columns() * c.tower.patch;
  const std::int64_t levels = std::ssize(c.quantiles), statics = std::ssize(c.static_cardinalities);
  std::map<std::string, Shape> shapes;
  const auto tables = [&](const std::string& name, const Shape& cardinalities, std::int64_t embedding) {
    for (std::size_t i = 0; i < cardinalities.size(); ++i)
      shapes[name + std::to_string(i) + ".weight"] = {cardinalities[i], embedding};
  };
  tables("fusion.past_code.", c.past_cardinalities, c.code_width);
  tables("fusion.known_code.", c.known_cardinalities, c.code_width);
  tables("fusion.static.", c.static_cardinalities, c.static_width);
  if (columns > 0) {
    shapes["fusion.patch.hidden.weight"] = {c.tower.d_ff, columns};
    shapes["fusion.patch.residual.weight"] = {width, columns};
  }
  if (statics > 0) {
    shapes["fusion.static.shift.weight"] = {2 * width, c.static_width * statics};
    shapes["fusion.static.shift.bias"] = {2 * width};
  }
  if (c.static_numbers > 0) shapes["fusion.number.shift.weight"] = {2 * width, 2 * c.static_numbers};
  if (c.text_width > 0) shapes["fusion.text.shift.weight"] = {2 * width, c.text_width};
  if (c.level) {
    if (statics > 0) shapes["fusion.level.static.weight"] = {1, c.static_width * statics};
    if (c.static_numbers > 0) shapes["fusion.level.number.weight"] = {1, 2 * c.static_numbers};
    if (c.text_width > 0) shapes["fusion.level.text.weight"] = {1, c.text_width};
    shapes["fusion.level.bias"] = {1};
  }
  shapes["heads.known.state.weight"] = {c.known_hidden, width};
  shapes["heads.known.input.weight"] = {c.known_hidden, c.known_inputs()};
  shapes["heads.known.step_bias"] = {c.horizon, c.known_hidden};
  const std::int64_t results =
      levels + c.mean_head + c.count_parameters + (c.cumulated ? levels : 0) + c.classes;
  shapes["heads.known.output.weight"] = {results, c.known_hidden};
  shapes["heads.known.output.bias"] = {results};
  const auto by_step = [&](const std::string& name, std::int64_t of_step = 1) {
    shapes[name + ".weight"] = {of_step * c.horizon, width};
    shapes[name + ".bias"] = {of_step * c.horizon};
  };
  if (c.mean_head) by_step("heads.mean");
  if (c.count_parameters > 0) by_step("heads.dispersion");
  if (c.count_parameters > 1) by_step("heads.zeros");
  if (c.cumulated) by_step("heads.cumulated", levels);
  if (c.classes > 0) by_step("heads.class", c.classes);
  return shapes;
}

std::map<std::string, Shape> tower_shapes(const TowerConfig& t) {
  const bool bolt = t.architecture == Architecture::chronos_bolt;
  std::map<std::string, Shape> shapes = {{"shared.weight", {bolt || t.use_reg_token ? 2 : 1, t.d_model}}};
  shapes.merge(residual_block("input_patch_embedding.", (bolt ? 2 : 3) * t.patch, t.d_ff, t.d_model));
  shapes.merge(residual_block("output_patch_embedding.", t.d_model, t.d_ff,
                              std::ssize(t.quantiles) * (bolt ? t.prediction_length : t.patch)));
  if (!bolt) {
    shapes.merge(chronos2_encoder_shapes(t));
    return shapes;
  }
  shapes.merge(stack_shapes(t, "encoder.", t.num_layers, false));
  shapes.merge(stack_shapes(t, "decoder.", t.num_decoder_layers, true));
  return shapes;
}

nlohmann::json tower_json(const TowerConfig& t) {
  nlohmann::json json = {{"d_model", t.d_model},
                         {"d_kv", t.d_kv},
                         {"d_ff", t.d_ff},
                         {"num_layers", t.num_layers},
                         {"num_heads", t.num_heads},
                         {"layer_norm_epsilon", t.epsilon},
                         {"context_length", t.context_length},
                         {"prediction_length", t.prediction_length},
                         {"input_patch_size", t.patch},
                         {"input_patch_stride", t.stride},
                         {"dense_act_fn", t.activation},
                         {"is_gated_act", t.gated},
                         {"quantiles", t.quantiles},
                         {"use_reg_token", t.use_reg_token}};
  if (t.architecture == Architecture::chronos2) {
    json["architecture"] = "chronos-2";
    json["rope_theta"] = t.rope_theta;
    json["time_encoding_scale"] = t.time_scale;
    json["use_arcsinh"] = t.use_arcsinh;
    return json;
  }
  json["num_decoder_layers"] = t.num_decoder_layers;
  json["relative_attention_num_buckets"] = t.buckets;
  json["relative_attention_max_distance"] = t.max_distance;
  return json;
}

nlohmann::json model_json(const ModelConfig& c) {
  constexpr std::array kCounts = {"none", "negative_binomial", "zero_inflated"};
  return {{"format", 1},
          {"tower", tower_json(c.tower)},
          {"model",
           {{"quantiles", c.quantiles},
            {"mean_head", c.mean_head},
            {"static_width", c.static_width},
            {"code_width", c.code_width},
            {"known_hidden", c.known_hidden},
            {"season", c.season},
            {"closures", c.closures},
            {"scale_floor", c.scale_floor},
            {"level", c.level},
            {"groups", c.groups},
            {"cumulated", c.cumulated},
            {"classes", c.classes > 0 ? std::vector{0.25, 0.75} : std::vector<double>()},
            {"counts", kCounts[static_cast<std::size_t>(c.count_parameters)]},
            {"written", c.counts_written ? "counts" : "quantiles"},
            {"loss", {{"mean_loss", c.positive_means ? "tweedie" : "mse"}}},
            {"text_pooling", c.text_pooling},
            {"text_length", c.text_length}}},
          {"context", c.context},
          {"horizon", c.horizon},
          {"past_numeric", c.past_numeric},
          {"known_numeric", c.known_numeric},
          {"past_cardinalities", c.past_cardinalities},
          {"known_cardinalities", c.known_cardinalities},
          {"static_cardinalities", c.static_cardinalities},
          {"static_numbers", c.static_numbers},
          {"text_width", c.text_width}};
}

}  // namespace

ModelConfig small_config() {
  ModelConfig c;
  c.tower = {12, 5, 22, 2, 2, 3, 32, 128, 1e-6, 64, 6, 4, {0.1, 0.5, 0.9}, true, 4};
  c.quantiles = {0.1, 0.5, 0.9};
  c.static_width = 3;
  c.code_width = 2;
  c.known_hidden = 7;
  c.season = 5;
  c.context = 22;
  c.horizon = 6;
  c.past_numeric = 1;
  c.known_numeric = 2;
  c.past_cardinalities = {3};
  c.known_cardinalities = {4, 5};
  c.static_cardinalities = {6, 3};
  c.static_numbers = 2;
  c.text_width = 32;  // of tests/golden/bert/uncased
  c.text_pooling = "mean";
  c.text_length = 24;
  return c;
}

ModelConfig small_chronos2_config() {
  ModelConfig c = small_config();
  c.tower.architecture = Architecture::chronos2;
  c.tower.d_kv = 6;
  c.tower.num_decoder_layers = 0;
  c.tower.prediction_length = 12;
  c.tower.rope_theta = 50.0;
  c.tower.time_scale = 30;
  c.tower.use_arcsinh = true;
  return c;
}

RandomModel::RandomModel(ModelConfig model, std::uint64_t seed) : config(std::move(model)) {
  for (const auto& [name, shape] : tower_shapes(config.tower)) shapes["tower." + name] = shape;
  shapes.merge(fusion_shapes(config));
  for (const auto& [name, shape] : shapes) {
    RandomStream random(mix(seed, key_of(name)));
    std::int64_t size = 1;
    for (const std::int64_t extent : shape) size *= extent;
    const bool norm = name.ends_with("norm.weight");
    const double spread = shape.size() > 1 ? 1.0 / std::sqrt(static_cast<double>(shape[1])) : 0.3;
    auto& values = tensors[name];
    for (std::int64_t i = 0; i < size; ++i)
      values.push_back(static_cast<float>((norm ? 1.0 : 0.0) + spread * random.normal()));
  }
}

void RandomModel::save(const std::filesystem::path& folder) const {
  std::filesystem::create_directories(folder / "tower");
  std::vector<TensorToStore> tower, fusion;
  for (const auto& [name, values] : tensors) {
    const bool in_tower = name.starts_with("tower.");
    (in_tower ? tower : fusion)
        .push_back({in_tower ? name.substr(6) : name, DType::f32, shapes.at(name),
                    std::as_bytes(std::span(values))});
  }
  write_safetensors(folder / "tower" / "model.safetensors", tower);
  write_safetensors(folder / "fusion.safetensors", fusion);
  write_file_atomically(folder / "tower" / "config.json", "{}");
  write_file_atomically(folder / "model.json", model_json(config).dump(1));
}

RandomInputs::RandomInputs(const ModelConfig& c, std::int64_t series, std::uint64_t seed) {
  RandomStream random(seed);
  const std::int64_t span = c.context + c.horizon;
  constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();
  for (std::int64_t b = 0; b < series; ++b)
    for (std::int64_t t = 0; t < c.context; ++t) {
      const double level = 20.0 + 5.0 * static_cast<double>(b % 7);
      float value = static_cast<float>(
          std::round(level + 8.0 * std::sin(0.9 * static_cast<double>(t)) + 3.0 * random.normal()));
      const bool gap = b == 3 && t >= 2 * c.tower.patch && t < 5 * c.tower.patch;
      if (b == 0 || gap || (b == 2 && t < c.context - c.tower.patch - 1) || (b > 3 && random.uniform() < 0.1))
        value = kMissing;
      context.push_back(b == 1 ? 7.0F : value);
    }
  const auto numbers = [&](std::int64_t columns, std::int64_t length) {
    std::vector<float> values(static_cast<std::size_t>(series * columns * length));
    for (float& value : values)
      value = random.uniform() < 0.05 ? kMissing : static_cast<float>(random.normal());
    return values;
  };
  const auto codes = [&](const Shape& cardinalities, std::int64_t length) {
    std::vector<std::int32_t> values;
    for (std::int64_t b = 0; b < series; ++b)
      for (const std::int64_t n : cardinalities)
        for (std::int64_t t = 0; t < length; ++t)
          values.push_back(static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(n))));
    return values;
  };
  past = numbers(c.past_numeric, c.context);
  known = numbers(c.known_numeric, span);
  past_codes = codes(c.past_cardinalities, c.context);
  known_codes = codes(c.known_cardinalities, span);
  statics = codes(c.static_cardinalities, 1);
  view.series = series;
  view.context = {context.data(), c.context};
  for (std::int64_t i = 0; i < c.past_numeric; ++i)
    view.past.push_back({past.data() + i * c.context, c.past_numeric * c.context});
  for (std::int64_t i = 0; i < c.known_numeric; ++i)
    view.known.push_back({known.data() + i * span, c.known_numeric * span});
  for (std::int64_t i = 0; i < std::ssize(c.past_cardinalities); ++i)
    view.past_codes.push_back(
        {past_codes.data() + i * c.context, std::ssize(c.past_cardinalities) * c.context});
  for (std::int64_t i = 0; i < std::ssize(c.known_cardinalities); ++i)
    view.known_codes.push_back({known_codes.data() + i * span, std::ssize(c.known_cardinalities) * span});
  view.statics = {statics.data(), std::ssize(c.static_cardinalities)};
  for (std::int64_t i = 0; i < series * c.static_numbers; ++i) {
    const bool missing = random.uniform() < 0.3;
    static_numbers.push_back(missing ? 0.0F : static_cast<float>(random.normal()));
    static_numbers.push_back(missing ? 1.0F : 0.0F);
  }
  view.static_numbers = {static_numbers.data(), 2 * c.static_numbers};
  if (c.text_width == 0) return;
  constexpr std::int64_t kTexts = 4;
  text.resize(static_cast<std::size_t>(kTexts * c.text_width));
  for (float& value : text) value = static_cast<float>(random.normal());
  for (std::int64_t b = 0; b < series; ++b)
    text_row.push_back(b % 3 == 2 ? -1 : static_cast<std::int32_t>(b % kTexts));
  view.texts = kTexts;
  view.text = {text.data(), c.text_width};
  view.text_row = {text_row.data(), 1};
}

ScratchFolder::ScratchFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "shelfcast-scorer-XXXXXX").string();
  path_ = mkdtemp(name.data());
}
ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::vector<Isa> isas_here() {
  std::vector<Isa> isas;
  for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512})
    if (runs_here(isa)) isas.push_back(isa);
  return isas;
}

}  // namespace shelfcast::scorer::testing
