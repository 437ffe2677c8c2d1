// The series tower: T5 encoder over patch tokens and a decoder of one token (docs/model.md, steps 7 and 8).
#pragma once

#include <cstdint>
#include <vector>

#include "scorer/forward/activation.h"
#include "scorer/forward/model_config.h"
#include "scorer/forward/ops.h"
#include "scorer/forward/token_batch.h"
#include "scorer/forward/weights.h"

namespace shelfcast::scorer {

// Scratch of one thread; grows to the largest batch and stays.
struct TowerScratch {
  Floats normed, qkv, attended, hidden, gate, scores, query, pooled, y;
};

// Immutable after construction; any number of threads, each with its own scratch.
class ChronosBolt {
 public:
  // Takes its tensors from `weights` (tower/model.safetensors). Throws Error(data).
  ChronosBolt(const ModelConfig& config, const Ops& ops, Weights& weights);

  // tokens.x becomes the encoder's output, final norm included.
  void encode(TokenBatch& tokens, TowerScratch& scratch) const;
  // The decoder's state of each series, final norm included: [series, d_model].
  void decode(const TokenBatch& tokens, TowerScratch& scratch, Floats& state) const;
  // The embedding of REG, [d_model].
  const std::vector<float>& reg_token() const { return reg_; }

 private:
  struct FeedForward {
    Floats norm;
    DenseLayer wi, wo;
    DenseLayer gate;  // of gated layers
  };
  struct EncoderLayer {
    Floats norm;
    DenseLayer qkv, o;
    FeedForward feed;
  };
  // With one query per series, keys and values of all tokens need not be made: q.(Wk x) = (Wk^T q).x and
  // sum p (Wv x) = Wv (sum p x). `key` and `value` hold each head's part of Wk^T and Wv.
  struct DecoderLayer {
    Floats self_norm, cross_norm;
    DenseLayer self_v, self_o, q, o;
    std::vector<DenseLayer> key, value;
    FeedForward feed;
  };

  FeedForward read_feed_forward(Weights& weights, const std::string& prefix) const;
  EncoderLayer read_encoder_layer(Weights& weights, std::int64_t index) const;
  DecoderLayer read_decoder_layer(Weights& weights, std::int64_t index) const;
  void read_position_bias(Weights& weights);
  void start_decoder(const std::vector<float>& first_token);
  void feed_forward(const FeedForward& layer, std::int64_t rows, float* x, TowerScratch& scratch) const;
  // y += Wo Wv norm(y): self-attention over one token.
  void self_attend(const DecoderLayer& layer, std::int64_t rows, float* y, TowerScratch& scratch) const;
  // scratch.query = Wk^T q of each head, [rows, heads, d_model].
  void make_queries(const DecoderLayer& layer, std::int64_t rows, const float* y,
                    TowerScratch& scratch) const;
  void cross_attend(const DecoderLayer& layer, const TokenBatch& tokens, const float* queries,
                    std::int64_t query_stride, float* y, TowerScratch& scratch) const;

  TowerConfig config_;
  const Ops& ops_;
  ActivationFunction activation_;
  std::int64_t inner_, reach_;
  Floats bias_;             // [heads, 2 * reach + 1]
  Floats unattended_mask_;  // [reach + 1]
  std::vector<EncoderLayer> encoder_;
  Floats encoder_norm_, decoder_norm_;
  std::vector<DecoderLayer> decoder_;
  // The decoder starts alike for every series: its token after the first self-attention, and the first
  // queries.
  Floats start_, start_queries_;
  std::vector<float> reg_;
};

// The bucket of a relative position (key - query) in a bidirectional T5 stack.
std::int64_t relative_bucket(std::int64_t distance, std::int64_t buckets, std::int64_t max_distance);

}  // namespace shelfcast::scorer
