#include "trainer/text/text_encoder.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/about.h"
#include "base/activity.h"
#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/progress.h"
#include "models/text/bert_weights.h"
#include "trainer/run/checkpoint.h"
#include "trainer/run/run_folder.h"

namespace shelfcast::trainer {
namespace {

namespace fs = std::filesystem;
using TextStart = models::ModelConfig::TextStart;

// Digest of every file that vectors follow from, but the tokenizer's, which has its own.
nlohmann::json weight_digests(const fs::path& folder) {
  nlohmann::json digests;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name == "config.json" || entry.path().extension() == ".safetensors")
      digests[name] = digest_file(entry.path());
  }
  return digests;
}

}  // namespace

void require_same_vocabulary(const data::Tokenizer& tokenizer, const models::BertConfig& config,
                             const fs::path& folder) {
  // Some models have a few rows more than words, for round numbers; a tenth is a file cut short.
  if (10 * tokenizer.vocabulary().size() < 9 * config.vocab_size)
    log::all(
        "the vocabulary in {} holds {} of the {} tokens that the model knows - words of the others are read "
        "as unknown",
        folder.string(), tokenizer.vocabulary().size(), config.vocab_size);
  if (tokenizer.vocabulary().size() <= config.vocab_size) return;
  throw data_error(
      fmt::format("the vocabulary in {} holds {} tokens", folder.string(), tokenizer.vocabulary().size()),
      fmt::format("the model beside it knows {}", config.vocab_size),
      "they belong to different models: fetch the directory again");
}

fs::path text_model_folder(const fs::path& model) {
  const RunFolder run(model);
  if (!run.exists()) return model;
  const Recipe recipe = run.stored_recipe();
  if (recipe.model.text.empty())
    throw input_error(fmt::format("{} is a run without a text encoder", model.string()),
                      "its recipe has no model.text", "name a run with one, or a published directory");
  if (recipe.tune.text == TuneConfig::Text::frozen) return text_model_folder(recipe.model.text);
  const Checkpoints checkpoints(run.checkpoints());
  return checkpoints.path_of(checkpoints.best_valid()) / kTextFolder;
}

TextTower open_text_tower(const fs::path& model) {
  const fs::path folder = text_model_folder(model);
  TextTower tower{data::Tokenizer(folder), models::Bert::open(folder)};
  require_same_vocabulary(tower.tokenizer, tower.bert.config(), folder);
  return tower;
}

models::EmbedOptions embed_options(const models::ModelConfig& model) {
  models::EmbedOptions options;
  options.pooling = about("model.text_pooling", [&] { return models::pooling_from(model.text_pooling); });
  options.max_tokens = model.text_length;
  options.length = models::EmbedOptions::Length::one;
  return options;
}

TextEncoder::TextEncoder(const models::ModelConfig& model) : options_(embed_options(model)) {
  about("model.text", [&] {
    folder_ = text_model_folder(model.text);
    const models::BertConfig config = models::read_bert_config(folder_);
    const data::Tokenizer tokenizer(folder_);
    require_same_vocabulary(tokenizer, config, folder_);
    about("model.text_length", [&] { options_.validate(config); });
    if (options_.pooling == models::Pooling::pooler && model.text_start == TextStart::published &&
        !models::bert_parts(folder_).pooler)
      throw input_error(fmt::format("{} has no pooler", folder_.string()), "model.text_pooling asks for it",
                        "use mean or cls");
    width_ = config.hidden_size;
    const nlohmann::json parts = {{"files", weight_digests(folder_)},
                                  {"tokenizer", tokenizer.digest()},
                                  {"pooling", model.text_pooling},
                                  {"length", model.text_length},
                                  {"mean_square", 1}};
    digest_ = digest_text(parts.dump());
  });
}

at::Tensor TextEncoder::encode(std::span<const std::string> texts) const {
  return about("model.text", [&] {
    const TextTower tower = open_text_tower(folder_);
    Progress progress("encode", static_cast<std::int64_t>(texts.size()), "texts");
    at::Tensor vectors =
        models::embed(tower.bert, tower.tokenizer, texts, options_, [&](std::int64_t done, std::int64_t) {
          progress.update(done);
          activity::note_progress();
        });
    return vectors.mul_(std::sqrt(static_cast<double>(width_)));
  });
}

}  // namespace shelfcast::trainer
