// The frozen text tower of a recipe: product texts to vectors, and the digest that names its work.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "models/config.h"
#include "models/text/embed.h"

namespace shelfcast::trainer {

// Where an encoder's files are: a published directory itself; of a run that trained one, the folder text/ of
// its best checkpoint, else the directory that its recipe names. Throws Error(data) when no checkpoint of a
// run is whole.
std::filesystem::path text_model_folder(const std::filesystem::path& model);

// A published directory opened whole.
struct TextTower {
  data::Tokenizer tokenizer;
  models::Bert bert;
};
// `model`: as text_model_folder takes it. Throws what Tokenizer and Bert::open throw, Error(data) when
// vocabulary and model do not belong together.
TextTower open_text_tower(const std::filesystem::path& model);

// Throws Error(data) when the vocabulary holds more tokens than the model beside it knows.
void require_same_vocabulary(const data::Tokenizer& tokenizer, const models::BertConfig& config,
                             const std::filesystem::path& folder);

// How a recipe's texts become vectors, before their scale. Throws Error(input) on an unknown pooling.
models::EmbedOptions embed_options(const models::ModelConfig& model);

class TextEncoder {
 public:
  // Of `model.text`, `model.text_pooling` and `model.text_length`. Reads the directory's descriptions and the
  // digest of its files; weights are loaded by encode(). Throws Error(input) naming the key that the
  // directory cannot serve, Error(io) or Error(data) when it is no BERT-family directory.
  explicit TextEncoder(const models::ModelConfig& model);

  std::int64_t width() const { return width_; }
  // Of weights, configuration, tokenizer, pooling and length: equal digests give equal vectors.
  const std::string& digest() const { return digest_; }

  // float32 [texts, width], each of mean square 1 (pooled, then scaled): encoders differ in how long their
  // vectors are, a shift that is learned should not. Throws Error(input) naming the text that is not UTF-8.
  at::Tensor encode(std::span<const std::string> texts) const;

 private:
  std::filesystem::path folder_;
  models::EmbedOptions options_;
  std::int64_t width_ = 0;
  std::string digest_;
};

}  // namespace shelfcast::trainer
