// Labels of texts: a head for a class of the whole text, a head for a tag of each word, and their loss.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <span>
#include <vector>

#include "data/text/tokenizer.h"
#include "models/blocks.h"
#include "models/text/bert.h"

namespace shelfcast::models {

// Legend: b texts, n labelled words, r rows (tokens), w width, c classes, t tags.

// How many labels each head tells apart; 0 = there is no such head.
struct LabelCounts {
  std::int64_t classes = 0, tags = 0;
};

struct LabelLogits {
  at::Tensor class_bc, tag_nt;  // float32; undefined = no such head
};

// What is to be found of a batch's texts, in the order in which they are given; kNoLabel = nothing.
struct LabelTargets {
  at::Tensor class_b, tag_n;  // int64
};

// Linear layers on what the encoder says: on the pooled text as in BertForSequenceClassification, on the
// first piece of a word as in BertForTokenClassification (Devlin et al., 2019, 5.3); the other pieces carry
// no tag. No dropout of their own: the encoder's last layer has one. Always float32.
class LabelHeads {
 public:
  // Parameters "labels.class.weight" and so on, drawn with the encoder's initializer_range.
  LabelHeads(const BertConfig& config, LabelCounts counts, ParameterMaker& maker);

  // Of hidden [rows, width] of `texts` by `bert`. `words`: the row of each word that is to be tagged.
  // Differentiable. What other texts are in the batch changes nothing; with one thread inside operations not
  // even the last bit.
  LabelLogits operator()(const Bert& bert, const at::Tensor& hidden_rw, const PackedTexts& texts,
                         Pooling pooling, std::span<const std::int64_t> words) const;

  const LabelCounts& counts() const { return counts_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }

 private:
  struct Layer {
    at::Tensor weight, bias;  // [labels, w], [labels]; undefined = no such head
    at::Tensor operator()(const at::Tensor& x_xw) const;
  };
  LabelCounts counts_;
  Layer classes_, tags_;
  std::vector<Parameter> parameters_;
};

// What labels count in the loss; undefined weights = all alike.
struct LabelWeights {
  at::Tensor class_c, tag_t;
  double text_class = 1.0, tags = 1.0;  // of the heads
  double smoothing = 0.0;
};
struct LabelLoss {
  at::Tensor sum;           // of the weighted cross-entropies over all labels; divide by all ranks' labels
  std::int64_t labels = 0;  // of texts and of words
};
// As torch.nn.functional.cross_entropy(reduction="sum") defines it for each head.
LabelLoss label_loss(const LabelLogits& logits, const LabelTargets& targets, const LabelWeights& weights);

}  // namespace shelfcast::models
