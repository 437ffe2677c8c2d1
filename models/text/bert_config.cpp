#include "models/text/bert_config.h"

#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "base/files.h"

namespace shelfcast::models {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

void check_architecture(const json& j, const fs::path& path) {
  std::string type = j.value("model_type", std::string());
  if (type.empty() && j.contains("architectures") && !j["architectures"].empty())
    type = j["architectures"][0].get<std::string>().starts_with("Bert") ? "bert" : j["architectures"][0];
  if (!type.empty() && type != "bert")
    throw data_error(fmt::format("{} describes a model of type \"{}\"", path.string(), type),
                     "only encoders of type \"bert\" are known", "use a model of the BERT family");
  const std::string positions = j.value("position_embedding_type", std::string("absolute"));
  if (positions != "absolute")
    throw data_error(fmt::format("{} has position_embedding_type \"{}\"", path.string(), positions),
                     "only \"absolute\" is known", "use a model with absolute positions");
  if (j.value("is_decoder", false) || j.value("add_cross_attention", false))
    throw data_error(fmt::format("{} describes a decoder", path.string()), "only encoders are known",
                     "use a model whose is_decoder is false");
}

BertConfig config_of(const json& j, const fs::path& path) {
  check_architecture(j, path);
  BertConfig config;
  const auto required = [&](const char* key, std::int64_t& value) { j.at(key).get_to(value); };
  required("vocab_size", config.vocab_size);
  required("hidden_size", config.hidden_size);
  required("num_hidden_layers", config.num_hidden_layers);
  required("num_attention_heads", config.num_attention_heads);
  required("intermediate_size", config.intermediate_size);
  config.max_position_embeddings = j.value("max_position_embeddings", config.max_position_embeddings);
  config.type_vocab_size = j.value("type_vocab_size", config.type_vocab_size);
  config.hidden_dropout = j.value("hidden_dropout_prob", config.hidden_dropout);
  config.attention_dropout = j.value("attention_probs_dropout_prob", config.attention_dropout);
  config.layer_norm_eps = j.value("layer_norm_eps", config.layer_norm_eps);
  config.initializer_range = j.value("initializer_range", config.initializer_range);
  config.hidden_act = activation_of(j.value("hidden_act", std::string("gelu")));
  config.validate();
  return config;
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
  const std::string bytes = read_file(path);
  try {
    return config_of(json::parse(bytes), path);
  } catch (const json::exception& error) {
    throw data_error(fmt::format("{} cannot be read as a BERT configuration", path.string()), error.what(),
                     "fetch it again");
  } catch (const Error& error) {
    if (error.problem().starts_with(path.string())) throw;
    throw data_error(fmt::format("{}: {}", path.string(), error.problem()), error.why(), "fetch it again");
  }
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
