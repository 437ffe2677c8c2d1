// The text tower: a BERT-family encoder (Devlin et al., 2019) over packed texts, with its poolings.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "models/blocks.h"
#include "models/inputs.h"
#include "models/text/bert_config.h"
#include "models/text/masked_language.h"
#include "models/text/packed_texts.h"

namespace shelfcast::models {

// What becomes of a text's hidden states.
enum class Pooling {
  mean,    // mean over its tokens, special ones included, as sentence encoders have it
  cls,     // the first token's
  pooler,  // tanh of a linear layer of the first token's
};
// Throws Error(input) on an unknown name.
Pooling pooling_from(const std::string& name);

// Parts that a checkpoint may lack.
struct BertParts {
  bool pooler = true;
  bool masked_language = false;
};

// Legend: r rows (tokens), b texts, w width.

// Parameters are named as published, behind a prefix. Reading (forward) is free for all threads.
class Bert {
 public:
  // First values as in the paper: normal with initializer_range, norms at one, biases at zero.
  Bert(const BertConfig& config, const BertParts& parts, ParameterMaker& maker,
       const std::string& prefix = "text.");
  // A published directory: config.json and model.safetensors, which decides about the parts. Throws what
  // read_bert_config and load_bert_weights throw.
  static Bert open(const std::filesystem::path& folder, const std::string& prefix = "text.");

  // Hidden states of the last layer [rows, width]. Dropout is drawn for each text by its own key
  // (`dropout->sample_b`: one a text, such as its digest); nullptr = evaluation. Differentiable. What
  // other texts are in the batch changes nothing; with one thread inside operations not even the last bit.
  at::Tensor forward(const PackedTexts& texts, const DropoutKeys* dropout = nullptr) const;
  // hidden [rows, width] -> [texts, width], in the order in which texts were given. Throws Error(input) when
  // the pooler is asked for and there is none.
  at::Tensor pool(const at::Tensor& hidden_rw, const PackedTexts& texts, Pooling pooling) const;

  const BertConfig& config() const { return config_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  // Absent when the checkpoint had none.
  const std::optional<MaskedLanguageHead>& masked_language() const { return masked_language_; }

 private:
  struct Norm {
    at::Tensor weight, bias;
  };
  struct Layer {
    Linear query, key, value, attended, inner, outer;
    Norm attended_norm, outer_norm;
  };
  at::Tensor norm(const at::Tensor& x, const Norm& norm) const;
  at::Tensor layer(std::size_t index, const at::Tensor& x, const PackedTexts& texts,
                   const Dropout& hidden_dropout, const Dropout& attention_dropout) const;

  BertConfig config_;
  at::Tensor words_, positions_, types_;  // [vocabulary, w], [positions, w], [types, w]
  Norm embedding_norm_;
  std::vector<Layer> layers_;
  Linear pooler_;  // undefined when absent
  std::optional<MaskedLanguageHead> masked_language_;
  std::vector<Parameter> parameters_;
};

// x [b, w] divided by its rows' lengths. Differentiable.
at::Tensor l2_normalized(const at::Tensor& x_bw);

}  // namespace shelfcast::models
