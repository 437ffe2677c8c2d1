#include "models/text/bert_config.h"

#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "base/json_file.h"
#include "models/published_config.h"

namespace shelfcast::models {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

void check_architecture(const json& j, const ConfigKeys& keys) {
  std::string type, positions;
  keys.read("model_type", type, std::string());
  if (type.empty() && j.contains("architectures") && j["architectures"].is_array() &&
      !j["architectures"].empty() && j["architectures"][0].is_string()) {
    const std::string architecture = j["architectures"][0];
    type = architecture.starts_with("Bert") ? "bert" : architecture;
  }
  if (!type.empty() && type != "bert")
    throw data_error(fmt::format("config.json describes a model of type \"{}\"", type),
                     "only encoders of type \"bert\" are known", "use a model of the BERT family");
  keys.read("position_embedding_type", positions, std::string("absolute"));
  if (positions != "absolute")
    throw data_error(fmt::format("config.json has position_embedding_type \"{}\"", positions),
                     "only \"absolute\" is known", "use a model with absolute positions");
  bool decoder = false, crossing = false;
  keys.read("is_decoder", decoder, false);
  keys.read("add_cross_attention", crossing, false);
  if (decoder || crossing)
    throw data_error("config.json describes a decoder", "only encoders are known",
                     "use a model whose is_decoder is false");
}

BertConfig config_of(const json& j) {
  const ConfigKeys keys(j);
  check_architecture(j, keys);
  BertConfig config;
  const BertConfig usual;
  keys.read("vocab_size", config.vocab_size);
  keys.read("hidden_size", config.hidden_size);
  keys.read("num_hidden_layers", config.num_hidden_layers);
  keys.read("num_attention_heads", config.num_attention_heads);
  keys.read("intermediate_size", config.intermediate_size);
  keys.read("max_position_embeddings", config.max_position_embeddings, usual.max_position_embeddings);
  keys.read("type_vocab_size", config.type_vocab_size, usual.type_vocab_size);
  keys.read("hidden_dropout_prob", config.hidden_dropout, usual.hidden_dropout);
  keys.read("attention_probs_dropout_prob", config.attention_dropout, usual.attention_dropout);
  keys.read("layer_norm_eps", config.layer_norm_eps, usual.layer_norm_eps);
  keys.read("initializer_range", config.initializer_range, usual.initializer_range);
  std::string activation;
  keys.read("hidden_act", activation, std::string("gelu"));
  keys.require_activation("hidden_act", activation);
  config.hidden_act = activation_of(activation);
  config.validate();
  return config;
}

// Weights of the matrices and tables.
double parameters_of(const BertConfig& c) {
  const auto width = static_cast<double>(c.hidden_size);
  const auto rows = static_cast<double>(c.vocab_size + c.max_position_embeddings + c.type_vocab_size);
  const double layer = 4 * width * width + 2 * width * static_cast<double>(c.intermediate_size);
  return rows * width + static_cast<double>(c.num_hidden_layers) * layer;
}

void require(bool holds, const char* field, const char* rule) {
  if (!holds) throw input_error(fmt::format("{} of the text model must be {}", field, rule));
}

}  // namespace

void BertConfig::validate() const {
  require(vocab_size > 0, "vocab_size", "positive");
  require(hidden_size > 0, "hidden_size", "positive");
  require(num_hidden_layers > 0, "num_hidden_layers", "positive");
  require(num_attention_heads > 0 && hidden_size % num_attention_heads == 0, "num_attention_heads",
          "a divisor of hidden_size");
  require(intermediate_size > 0, "intermediate_size", "positive");
  require(max_position_embeddings > 1, "max_position_embeddings", "at least 2");
  require(type_vocab_size > 0, "type_vocab_size", "positive");
  require(hidden_dropout >= 0 && hidden_dropout < 1, "hidden_dropout_prob", "in [0, 1)");
  require(attention_dropout >= 0 && attention_dropout < 1, "attention_probs_dropout_prob", "in [0, 1)");
  require(layer_norm_eps > 0, "layer_norm_eps", "positive");
  require(initializer_range > 0, "initializer_range", "positive");
}

BertConfig read_bert_config(const fs::path& folder) {
  const fs::path path = folder / "config.json";
  if (!fs::exists(path))
    throw input_error(fmt::format("{} holds no config.json", folder.string()), "it is not a published model",
                      "give the directory of a BERT-family model: config.json, model.safetensors, vocab.txt");
  const json described = read_json(path);
  BertConfig config;
  try {
    config = config_of(described);
  } catch (const Error& error) {
    throw error_of_file(path, error);
  }
  require_room_for(folder, parameters_of(config));
  return config;
}

json to_published_json(const BertConfig& config, const char* architecture) {
  return {{"architectures", {architecture}},
          {"model_type", "bert"},
          {"vocab_size", config.vocab_size},
          {"hidden_size", config.hidden_size},
          {"num_hidden_layers", config.num_hidden_layers},
          {"num_attention_heads", config.num_attention_heads},
          {"intermediate_size", config.intermediate_size},
          {"max_position_embeddings", config.max_position_embeddings},
          {"type_vocab_size", config.type_vocab_size},
          {"hidden_act", name_of(config.hidden_act)},
          {"hidden_dropout_prob", config.hidden_dropout},
          {"attention_probs_dropout_prob", config.attention_dropout},
          {"layer_norm_eps", config.layer_norm_eps},
          {"initializer_range", config.initializer_range},
          {"position_embedding_type", "absolute"},
          {"torch_dtype", "float32"}};
}

}  // namespace shelfcast::models
