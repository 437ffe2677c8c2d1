// The shape of a BERT-family encoder, as its published config.json gives it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>

#include "models/activation.h"

namespace shelfcast::models {

struct BertConfig {
  std::int64_t vocab_size = 30522;
  std::int64_t hidden_size = 768;
  std::int64_t num_hidden_layers = 12;
  std::int64_t num_attention_heads = 12;
  std::int64_t intermediate_size = 3072;
  std::int64_t max_position_embeddings = 512;
  std::int64_t type_vocab_size = 2;
  Activation hidden_act = Activation::gelu;
  double hidden_dropout = 0.1;     // hidden_dropout_prob
  double attention_dropout = 0.1;  // attention_probs_dropout_prob
  double layer_norm_eps = 1e-12;
  double initializer_range = 0.02;

  // Throws Error(input) naming the field.
  void validate() const;
};

// Reads `folder`/config.json. Throws Error(io) when it cannot be read, Error(data) on another architecture,
// an unknown activation, relative positions, a decoder, or a missing or senseless key.
BertConfig read_bert_config(const std::filesystem::path& folder);

// config.json in the published form, for a model of this class of transformers ("BertModel").
nlohmann::json to_published_json(const BertConfig& config, const char* architecture);

}  // namespace shelfcast::models
