// Texts to vectors: tokenize, sort by length, encode in batches, put back in order.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "data/text/tokenizer.h"
#include "models/text/bert.h"

namespace shelfcast::models {

struct EmbedOptions {
  Pooling pooling = Pooling::mean;
  enum class Length { as_it_is, one } length = Length::as_it_is;  // of the vectors
  std::int64_t max_tokens = data::Tokenizer::kDefaultLength;      // longer texts are cut
  std::int64_t batch = 64;                                        // texts encoded together

  // Throws Error(input) naming the option that the model cannot serve.
  void validate(const BertConfig& config) const;
};

// float32 [texts, width], without gradients. Equal texts are encoded once. A text's vector has the same bits
// whatever the others, the batch and the number of threads (batches run side by side). `progress` hears how
// many distinct texts are done, and of how many. Throws Error(input) naming the text (counted from 1) that is
// not UTF-8.
at::Tensor embed(const Bert& bert, const data::Tokenizer& tokenizer, std::span<const std::string> texts,
                 const EmbedOptions& options,
                 const std::function<void(std::int64_t done, std::int64_t of)>& progress = {});

}  // namespace shelfcast::models
