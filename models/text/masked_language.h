// Masked-language modelling: which tokens are hidden, the head that guesses them, the loss.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "data/text/tokenizer.h"
#include "models/blocks.h"
#include "models/text/bert_config.h"

namespace shelfcast::models {

constexpr std::int64_t kNoLabel = -100;  // a token that is not to be guessed

// The published head `cls.predictions`; its last layer is the word embeddings.
class MaskedLanguageHead {
 public:
  MaskedLanguageHead(const BertConfig& config, ParameterMaker& maker, const std::string& prefix,
                     at::Tensor words);
  // hidden [rows, width] -> logits [rows, vocabulary].
  at::Tensor operator()(const at::Tensor& hidden_rw) const;

 private:
  Linear transform_;
  at::Tensor norm_weight_, norm_bias_, words_, bias_;
  double epsilon_;
  Activation activation_;
};

struct MaskedLanguageLoss {
  at::Tensor sum;           // of -log probability over the labelled tokens; divide by all ranks' tokens
  std::int64_t tokens = 0;  // labelled ones
};
// labels int64 [rows], kNoLabel where nothing is to be guessed. Logits are made for labelled rows only.
MaskedLanguageLoss masked_language_loss(const MaskedLanguageHead& head, const at::Tensor& hidden_rw,
                                        const at::Tensor& labels_r);

// What keys the hiding of one text's tokens.
struct MaskKeys {
  std::uint64_t seed = 0;
  std::int64_t step = 0;
  std::uint64_t text_digest = 0;  // key_of(text)
};
struct MaskedText {
  data::Encoding text;               // with some ids replaced
  std::vector<std::int32_t> labels;  // the ids that were there, kNoLabel elsewhere
};
// Picks each token with probability `rate`, special ones never; of the picked, 80 % become [MASK], 10 % any
// token of the vocabulary, 10 % stay (Devlin et al., 2019). A pure function of its arguments.
MaskedText mask_tokens(const data::Encoding& text, const data::Tokenizer& tokenizer, const MaskKeys& keys,
                       double rate = 0.15);

// Each token but special ones becomes [MASK] with probability `rate`. A pure function of its arguments.
data::Encoding hide_tokens(const data::Encoding& text, const data::Tokenizer& tokenizer, const MaskKeys& keys,
                           double rate);

}  // namespace shelfcast::models
