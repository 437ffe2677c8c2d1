// The text tower of a run that trains it: read whole from a published directory, and written as one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "models/config.h"
#include "models/text/bert.h"
#include "parallel/flat_buffers.h"
#include "trainer/recipe/config.h"

namespace shelfcast::trainer {

class TrainedText {
 public:
  // The directory's encoder and vocabulary, with the recipe's dropout in place of the published one and with
  // these parts. `seed`: of the weights that are drawn: all of them, or those of a masked-language head that
  // the directory lacks. Throws what Tokenizer, read_bert_config and load_bert_weights throw, Error(data)
  // when vocabulary and model do not belong together.
  TrainedText(const std::filesystem::path& folder, const models::ModelConfig& model,
              const models::BertParts& parts, models::ModelConfig::TextStart start, std::uint64_t seed);
  // Of a checkpoint, where nothing is drawn.
  TrainedText(const std::filesystem::path& folder, const models::ModelConfig& model,
              const models::BertParts& parts)
      : TrainedText(folder, model, parts, models::ModelConfig::TextStart::published, 0) {}

  const data::Tokenizer& tokenizer() const { return tokenizer_; }
  const models::Bert& bert() const { return bert_; }
  // "text.embeddings.word_embeddings.weight" and so on, in forward order.
  const std::vector<models::Parameter>& parameters() const { return bert_.parameters(); }

  // Writes config.json, model.safetensors and the vocabulary's files, as the Python packages publish them (a
  // BertModel, or with the head a BertForMaskedLM), with values that stand elsewhere: one for each of
  // parameters(). Throws Error(io).
  void save(const std::filesystem::path& folder, const std::vector<models::Parameter>& values) const;

 private:
  std::map<std::string, std::string> vocabulary_files_;  // by name, as they were found
  data::Tokenizer tokenizer_;
  models::Bert bert_;
};

// What a demand model needs of an encoder.
models::BertParts demand_text_parts(const models::ModelConfig& model);

// The parameters that tune.text trains, in forward order, with their learning rates' factors; all others stop
// requiring gradients. Throws Error(input) when the encoder has fewer blocks than it asks for.
std::vector<parallel::FlatParameter> trained_parameters(const TrainedText& text, const TuneConfig& tune);

}  // namespace shelfcast::trainer
