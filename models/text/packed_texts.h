// A batch of texts without padding: the tokens of all texts one after another, equally long texts side by
// side.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "data/text/tokenizer.h"
#include "models/text/bert_config.h"

namespace shelfcast::models {

// Texts of one length, whose rows lie together: [texts * length].
struct TextGroup {
  std::int64_t first_text, texts, length, first_row;
  std::int64_t rows() const { return texts * length; }
};

// Rows are tokens. Their number is rounded up to a multiple of kRowBlock: then, with one thread inside
// operations, a row's products have the same bits whatever else is in the batch (matrix products treat the
// last few rows by other code). The rows added belong to no text.
struct PackedTexts {
  static constexpr std::int64_t kRowBlock = 16;

  at::Tensor ids, types, positions;     // int64 [rows]
  std::vector<TextGroup> groups;        // shortest texts first
  std::vector<std::int64_t> place;      // of each text among the packed ones
  std::vector<std::int64_t> first_row;  // of each text
  std::int64_t tokens = 0, rows = 0;

  std::int64_t texts() const { return static_cast<std::int64_t>(place.size()); }
};

// Throws Error(input) naming the text that is empty, longer than the model's positions, or has an id beyond
// the model's vocabulary or types.
PackedTexts pack_texts(std::span<const data::Encoding> texts, const BertConfig& config);

// Values given for each token of each text (labels, ids) as int64 [rows]; rows of no text get `otherwise`.
at::Tensor pack_values(std::span<const std::vector<std::int32_t>> values, const PackedTexts& texts,
                       std::int64_t otherwise);

}  // namespace shelfcast::models
