// The product text of every series as a vector: read from the corpus, encoded once, kept beside it.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "data/batch.h"
#include "models/config.h"
#include "parallel/communicator.h"
#include "trainer/text/live_texts.h"

namespace shelfcast::trainer {

// Vectors of the series that windows name. Without any (default) the model reads no text.
class SeriesTexts {
 public:
  SeriesTexts() = default;
  // vectors float32 [texts, width]; row_of_series: its row, -1 = no text.
  SeriesTexts(const at::Tensor& vectors, std::vector<std::int64_t> row_of_series);

  // Vectors that are made when they are asked for, by an encoder that is being trained.
  SeriesTexts(std::shared_ptr<const LiveTexts> texts, std::vector<std::int64_t> row_of_series);

  // [windows, width]: zeros for series without a text and for windows of no series; undefined when the model
  // reads no text. Of an encoder that is being trained: each distinct text is encoded once, with gradients
  // and, given `keys`, with dropout.
  at::Tensor of(const std::vector<data::Window>& window_b, const models::DropoutKeys* keys = nullptr) const;
  // The same texts, those of an encoder that is being trained as it stands now: for these windows alone.
  // Collective: the ranks share the work, and the result does not depend on their number.
  SeriesTexts now(const std::vector<data::Window>& windows, parallel::Communicator& communicator) const;
  std::int64_t series_without() const;
  // [texts, width] and the row of each series (-1 = none); undefined and empty when the model reads no text.
  // Not of an encoder that is being trained.
  at::Tensor vectors() const;
  const std::vector<std::int64_t>& row_of_series() const { return row_of_series_; }

 private:
  std::int64_t row_of(const data::Window& window) const;  // -1 = none

  at::Tensor vectors_;  // [texts + 1, width]; row 0 is zeros
  std::shared_ptr<const LiveTexts> live_;
  std::vector<std::int64_t> row_of_series_;
};

// Distinct texts, and which of them belongs to which series (-1 = none).
struct ProductTexts {
  std::vector<std::string> texts;
  std::vector<std::int64_t> row_of_series;

  // "" = no text.
  explicit ProductTexts(const std::vector<std::string>& text_of_series);
};

// The text of each item that has one.
std::unordered_map<std::string, std::string> text_of_item(const data::Corpus& corpus);

// The text of each series' item, "" where it has none. Throws Error(input) when the corpus has no item level
// or no texts.
std::vector<std::string> text_of_series(const data::Corpus& corpus);

// What a recipe with data.text reads: the width of vectors and the digest of what makes them. Throws what
// TextEncoder and text_of_series throw.
data::TextColumn text_column(const models::ModelConfig& model, const data::Corpus& corpus);

// Where vectors of these texts lie: CORPUS.texts/<digest>.safetensors.
std::filesystem::path text_cache_path(const std::filesystem::path& corpus, const data::TextColumn& column,
                                      const std::vector<std::string>& texts);

// The vectors of a corpus' series. Read from the cache; where it is not there yet, rank 0 encodes and writes
// it first. Nothing when `column` has no width. Collective. Throws Error(data) when the cache is damaged or
// the encoder in model.text is not the one that `column` names, what TextEncoder throws.
SeriesTexts read_series_texts(const data::Corpus& corpus, const data::TextColumn& column,
                              const models::ModelConfig& model, parallel::Communicator& communicator);

// Those of frozen vectors for series of anywhere ("" = no text): texts of the corpus (null = none) from its
// cache, others are encoded now.
SeriesTexts encode_series_texts(const std::vector<std::string>& text_of_series, const data::Corpus* corpus,
                                const data::TextColumn& column, const models::ModelConfig& model);

// The vectors of a corpus' series as an encoder that is being trained makes them. Throws what LiveTexts
// throws.
SeriesTexts live_series_texts(const data::Corpus& corpus, std::shared_ptr<const TrainedText> encoder,
                              const models::ModelConfig& model, const AugmentConfig& augment = {});

}  // namespace shelfcast::trainer
