#include "trainer/text/trained_text.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "models/text/bert_weights.h"
#include "models/weights.h"
#include "trainer/text/text_encoder.h"

namespace shelfcast::trainer {
namespace {

namespace fs = std::filesystem;
using TextStart = models::ModelConfig::TextStart;

constexpr const char* kPrefix = "text.";
constexpr std::string_view kLayer = "text.encoder.layer.";

std::map<std::string, std::string> read_vocabulary_files(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const char* name : {"vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"})
    if (fs::exists(folder / name)) files[name] = read_file(folder / name);
  return files;
}

bool is_of_head(const models::Parameter& parameter) { return parameter.name.starts_with("text.cls."); }

models::Bert make_bert(const fs::path& folder, const models::ModelConfig& model,
                       const models::BertParts& parts, TextStart start, std::uint64_t seed) {
  models::BertConfig config = models::read_bert_config(folder);
  config.hidden_dropout = config.attention_dropout = model.dropout;
  const bool read = start == TextStart::published,
             all = read && (!parts.masked_language || models::bert_parts(folder).masked_language);
  using Fill = models::ParameterMaker::Fill;
  models::ParameterMaker maker(seed, all ? Fill::leave : Fill::draw);
  models::Bert bert(config, parts, maker, kPrefix);
  if (!read) return bert;
  std::vector<models::Parameter> stored = bert.parameters();
  if (!all) std::erase_if(stored, is_of_head);
  models::load_bert_weights(folder, stored, kPrefix);
  return bert;
}

}  // namespace

TrainedText::TrainedText(const fs::path& folder, const models::ModelConfig& model,
                         const models::BertParts& parts, TextStart start, std::uint64_t seed)
    : vocabulary_files_(read_vocabulary_files(folder)),
      tokenizer_(folder),
      bert_(make_bert(folder, model, parts, start, seed)) {
  require_same_vocabulary(tokenizer_, bert_.config(), folder);
}

void TrainedText::save(const fs::path& folder, const std::vector<models::Parameter>& values) const {
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) throw io_error("cannot make " + folder.string(), failed.value());
  const bool head = bert_.masked_language().has_value();
  write_file_atomically(
      folder / "config.json",
      models::to_published_json(bert_.config(), head ? "BertForMaskedLM" : "BertModel").dump(2) + "\n");
  std::vector<models::Parameter> named = values;
  for (models::Parameter& value : named)
    if (head && !is_of_head(value)) value.name.insert(std::string_view(kPrefix).size(), "bert.");
  models::save_weights(folder / "model.safetensors", kPrefix, named);
  for (const auto& [name, bytes] : vocabulary_files_) write_file_atomically(folder / name, bytes);
}

models::BertParts demand_text_parts(const models::ModelConfig& model) {
  return {.pooler = models::pooling_from(model.text_pooling) == models::Pooling::pooler,
          .masked_language = false};
}

std::vector<parallel::FlatParameter> trained_parameters(const TrainedText& text, const TuneConfig& tune) {
  const std::int64_t layers = text.bert().config().num_hidden_layers;
  const bool top = tune.text == TuneConfig::Text::top, frozen = tune.text == TuneConfig::Text::frozen;
  if (top && tune.text_layers > layers)
    throw input_error(fmt::format("tune.text_layers is {}", tune.text_layers),
                      fmt::format("the text encoder has {} blocks", layers),
                      "lower it, or train the whole encoder with tune.text=all");
  // Blocks between a parameter and the encoder's output; 0 = above all of them.
  const auto depth_of = [&](const std::string& name) -> std::int64_t {
    if (name.starts_with(kLayer)) return layers - std::stoll(name.substr(kLayer.size()));
    return name.starts_with("text.embeddings.") ? layers + 1 : 0;
  };
  std::vector<parallel::FlatParameter> trained;
  for (const models::Parameter& parameter : text.parameters()) {
    const std::int64_t depth = depth_of(parameter.name);
    at::Tensor tensor = parameter.tensor;
    tensor.set_requires_grad(!frozen && (!top || depth <= tune.text_layers));
    if (tensor.requires_grad())
      trained.push_back(
          {parameter.name, tensor, tune.text_rate * std::pow(tune.layer_decay, depth), parameter.decay});
  }
  return trained;
}

}  // namespace shelfcast::trainer
