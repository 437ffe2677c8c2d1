// model.json and config.json: each key stands once, for the writer and the reader alike.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "models/config.h"
#include "models/published_config.h"
#include "models/series/chronos2_config.h"

namespace shelfcast::models {

namespace {

using nlohmann::json;

struct Writer {
  json& j;
  template <typename T>
  void operator()(const char* key, const T& value) {
    j[key] = value;
  }
  template <typename T>
  void operator()(const char* key, const T& value, const T&) {
    j[key] = value;
  }
};

struct Reader {
  const json& j;
  template <typename T>
  void operator()(const char* key, T& value) {
    j.at(key).get_to(value);
  }
  // A key that older or foreign files may leave out.
  template <typename T>
  void operator()(const char* key, T& value, const T& otherwise) {
    value = otherwise;
    if (const auto found = j.find(key); found != j.end()) found->get_to(value);
  }
};

// Of foreign files.
struct PublishedReader {
  const ConfigKeys& keys;
  template <typename T>
  void operator()(const char* key, T& value) {
    keys.read(key, value);
  }
  template <typename T>
  void operator()(const char* key, T& value, const T& otherwise) {
    keys.read(key, value, otherwise);
  }
};

// What both forms of a tower's description keep in their T5 part.
template <typename Visitor, typename Config>
void visit_t5(Visitor v, Config& c) {
  v("d_model", c.d_model);
  v("d_kv", c.d_kv);
  v("d_ff", c.d_ff);
  v("num_layers", c.num_layers);
  v("num_decoder_layers", c.num_decoder_layers, c.num_layers);
  v("num_heads", c.num_heads);
  v("relative_attention_num_buckets", c.relative_attention_num_buckets, std::int64_t{32});
  v("relative_attention_max_distance", c.relative_attention_max_distance, std::int64_t{128});
  v("dropout_rate", c.dropout_rate, 0.1);
  v("layer_norm_epsilon", c.layer_norm_epsilon, 1e-6);
  v("initializer_factor", c.initializer_factor, 1.0);
  v("dense_act_fn", c.activation, std::string("relu"));
  v("is_gated_act", c.gated, false);
}

template <typename Visitor, typename Config>
void visit_patching(Visitor v, Config& c) {
  v("context_length", c.context_length);
  v("prediction_length", c.prediction_length);
  v("input_patch_size", c.input_patch_size);
  v("input_patch_stride", c.input_patch_stride);
  v("quantiles", c.quantiles);
  v("use_reg_token", c.use_reg_token, false);
}

template <typename Visitor, typename Config>
void visit_chronos2(Visitor v, Config& c) {
  v("rope_theta", c.rope_theta);
  v("time_encoding_scale", c.time_encoding_scale);
  v("use_arcsinh", c.use_arcsinh);
}

template <typename Visitor, typename Config>
void visit_model(Visitor v, Config& c) {
  v("tower", c.tower);
  v("patch", c.patch);
  v("weights", c.weights);
  v("quantiles", c.quantiles);
  v("mean_head", c.mean_head);
  v("dropout", c.dropout);
  v("static_width", c.static_width);
  v("code_width", c.code_width);
  v("known_hidden", c.known_hidden);
  v("season", c.season);
  v("closures", c.closures, false);
  v("scale_floor", c.scale_floor);
  v("level", c.level, false);
  v("groups", c.groups, false);
  v("cumulated", c.cumulated, false);
  v("inventory", c.inventory, false);
  v("masked", c.masked, false);
  v("classes", c.classes, std::vector<double>());
  v("text", c.text, std::string());
  v("text_pooling", c.text_pooling, std::string("mean"));
  v("text_length", c.text_length, std::int64_t{128});
}

template <typename Visitor, typename Config>
void visit_columns(Visitor v, Config& c) {
  v("context", c.context);
  v("horizon", c.horizon);
  v("past_numeric", c.past_numeric);
  v("known_numeric", c.known_numeric);
  v("open_column", c.open_column, std::int64_t{-1});
  v("past_cardinalities", c.past_cardinalities);
  v("known_cardinalities", c.known_cardinalities);
  v("static_cardinalities", c.static_cardinalities);
  v("static_numbers", c.static_numbers, std::int64_t{0});
  v("text_width", c.text_width, std::int64_t{0});
}

// Files from before there were others lack the key.
Architecture architecture_from_json(const json& j) {
  const std::string name = j.value("architecture", "chronos-bolt");
  for (const Architecture known : {Architecture::chronos_bolt, Architecture::chronos2, Architecture::lstm,
                                   Architecture::tcn, Architecture::transformer})
    if (name == name_of(known)) return known;
  throw data_error(fmt::format("model.json has a tower \"{}\"", name), "this program does not know it",
                   "update shelfcast");
}

using Censored = LossConfig::Censored;
using MeanLoss = LossConfig::MeanLoss;
using Counts = ModelConfig::Counts;
using Written = ModelConfig::WrittenQuantiles;

template <typename Value>
using Names = std::vector<std::pair<const char*, Value>>;
const Names<MeanLoss> kMeanLosses = {{"mse", MeanLoss::mse},
                                     {"mae", MeanLoss::mae},
                                     {"huber", MeanLoss::huber},
                                     {"tweedie", MeanLoss::tweedie}};
const Names<Counts> kCounts = {{"none", Counts::none},
                               {"negative_binomial", Counts::negative_binomial},
                               {"zero_inflated", Counts::zero_inflated}};
const Names<Written> kWritten = {{"quantiles", Written::quantiles}, {"counts", Written::counts}};

template <typename Value>
std::string name_in(const Names<Value>& names, Value value) {
  return std::find_if(names.begin(), names.end(), [&](const auto& n) { return n.second == value; })->first;
}

template <typename Value>
Value value_of(const Names<Value>& names, const std::string& name) {
  for (const auto& [known, value] : names)
    if (name == known) return value;
  throw data_error(fmt::format("model.json says \"{}\"", name), "this program does not know it",
                   "update shelfcast");
}

json loss_to_json(const LossConfig& loss) {
  json j;
  j["quantile"] = loss.quantile;
  j["mean"] = loss.mean;
  j["mean_loss"] = name_in(kMeanLosses, loss.mean_loss);
  j["huber_delta"] = loss.huber_delta;
  j["tweedie_power"] = loss.tweedie_power;
  j["counts"] = loss.counts;
  j["cumulated"] = loss.cumulated;
  j["class"] = loss.classes;
  j["inventory"] = loss.inventory;
  j["masked"] = loss.masked;
  j["class_weights"] = loss.balance_classes ? json("balanced") : json(loss.class_weights);
  j["label_smoothing"] = loss.label_smoothing;
  j["scale_power"] = loss.scale_power;
  j["censored"] = loss.censored == Censored::bound ? "bound" : "mask";
  return j;
}

LossConfig loss_from_json(const json& j) {
  LossConfig loss;
  j.at("quantile").get_to(loss.quantile);
  j.at("mean").get_to(loss.mean);
  loss.mean_loss = value_of(kMeanLosses, j.at("mean_loss"));
  loss.huber_delta = j.value("huber_delta", loss.huber_delta);
  loss.tweedie_power = j.value("tweedie_power", loss.tweedie_power);
  loss.counts = j.value("counts", loss.counts);
  loss.cumulated = j.value("cumulated", loss.cumulated);
  loss.classes = j.value("class", loss.classes);
  loss.inventory = j.value("inventory", loss.inventory);
  loss.masked = j.value("masked", loss.masked);
  const json weights = j.value("class_weights", json::array());
  loss.balance_classes = weights == "balanced";
  if (!loss.balance_classes) weights.get_to(loss.class_weights);
  loss.label_smoothing = j.value("label_smoothing", loss.label_smoothing);
  j.at("scale_power").get_to(loss.scale_power);
  loss.censored = j.value("censored", std::string("mask")) == "mask" ? Censored::mask : Censored::bound;
  return loss;
}

// "relu", "gated-silu": what transformers makes dense_act_fn and is_gated_act of when they are not there.
void read_feed_forward(const ConfigKeys& keys, TowerConfig& config) {
  constexpr const char* kKey = "feed_forward_proj";
  constexpr std::string_view kGated = "gated-";
  std::string text;
  keys.read(kKey, text, std::string("relu"));
  config.gated = text.starts_with(kGated);
  config.activation = config.gated ? text.substr(kGated.size()) : text;
  if (text == "gated-gelu") config.activation = "gelu_new";
  keys.require_activation(kKey, config.activation);
}

// Runs `read` and turns the JSON library's exceptions into ours.
template <typename Read>
auto reading(const char* what, Read read) {
  try {
    return read();
  } catch (const json::exception& error) {
    throw data_error(fmt::format("{} cannot be read", what), error.what());
  }
}

}  // namespace

json to_json(const TowerConfig& config) {
  json j;
  j["architecture"] = name_of(config.architecture);
  visit_t5(Writer{j}, config);
  visit_patching(Writer{j}, config);
  if (config.architecture == Architecture::chronos2) visit_chronos2(Writer{j}, config);
  return j;
}

json to_json(const DemandModelConfig& config) {
  json j;
  j["format"] = 1;
  j["tower"] = to_json(config.tower);
  visit_model(Writer{j["model"]}, config.model);
  j["model"]["counts"] = name_in(kCounts, config.model.counts);
  j["model"]["written"] = name_in(kWritten, config.model.written);
  j["model"]["loss"] = loss_to_json(config.model.loss);
  visit_columns(Writer{j}, config);
  return j;
}

DemandModelConfig demand_model_config_from_json(const json& j) {
  return reading("model.json", [&j] {
    if (j.at("format") != 1) {
      throw data_error(fmt::format("model.json has format {}", j.at("format").dump()),
                       "this program reads format 1");
    }
    DemandModelConfig config;
    visit_t5(Reader{j.at("tower")}, config.tower);
    visit_patching(Reader{j.at("tower")}, config.tower);
    config.tower.architecture = architecture_from_json(j.at("tower"));
    if (config.tower.architecture == Architecture::chronos2)
      visit_chronos2(Reader{j.at("tower")}, config.tower);
    visit_model(Reader{j.at("model")}, config.model);
    config.model.counts = value_of(kCounts, j.at("model").value("counts", "none"));
    config.model.written = value_of(kWritten, j.at("model").value("written", "quantiles"));
    config.model.loss = loss_from_json(j.at("model").at("loss"));
    visit_columns(Reader{j}, config);
    config.validate();
    return config;
  });
}

json to_published_json(const TowerConfig& c) {
  if (c.architecture == Architecture::chronos2) return to_published_json(chronos2_config(c));
  json j;
  visit_t5(Writer{j}, c);
  visit_patching(Writer{j["chronos_config"]}, c);
  j["chronos_pipeline_class"] = "ChronosBoltPipeline";
  j["architectures"] = json::array({"ChronosBoltModelForForecasting"});
  j["model_type"] = "t5";
  j["is_encoder_decoder"] = true;
  j["feed_forward_proj"] = (c.gated ? "gated-" : "") + c.activation;
  j["vocab_size"] = c.use_reg_token ? 2 : 1;
  j["pad_token_id"] = 0;
  j["decoder_start_token_id"] = 0;
  j["eos_token_id"] = 1;
  j["reg_token_id"] = 1;
  j["n_positions"] = 512;
  j["use_cache"] = true;
  j["torch_dtype"] = "float32";
  return j;
}

TowerConfig tower_config_from_published_json(const json& j) {
  return published_architecture(j) == Architecture::chronos2
             ? tower_config(chronos2_config_from_published_json(j))
             : bolt_config_from_published_json(j);
}

TowerConfig bolt_config_from_published_json(const json& j) {
  const ConfigKeys keys(j);
  if (!j.contains("chronos_config")) {
    throw data_error("config.json has no \"chronos_config\"", "it does not describe a Chronos-Bolt model",
                     "point model.weights to a published Chronos-Bolt or Chronos-2 directory");
  }
  TowerConfig config;
  visit_t5(PublishedReader{keys}, config);
  if (keys.has("dense_act_fn"))
    keys.require_activation("dense_act_fn", config.activation);
  else
    read_feed_forward(keys, config);
  visit_patching(PublishedReader{keys.part("chronos_config")}, config);
  config.validate();
  return config;
}

}  // namespace shelfcast::models
