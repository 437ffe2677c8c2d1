// Chronos-Bolt: T5 encoder over patch tokens and a decoder of one token (docs/model.md, steps 3, 7 and 8).
#pragma once

#include <cstdint>
#include <vector>

#include "scorer/forward/activation.h"
#include "scorer/forward/series_tower.h"

namespace shelfcast::scorer {

class ChronosBolt : public SeriesTower {
 public:
  // Takes its tensors from `weights` (tower/model.safetensors). Throws Error(data).
  ChronosBolt(const ModelConfig& config, const Ops& ops, Weights& weights);

  // [values, whether observed].
  std::int64_t inputs() const override { return 2 * config_.patch; }
  std::int64_t states_of_series() const override { return 1; }
  std::int64_t steps_of_state() const override { return config_.prediction_length; }
  void append(std::span<const float> context, std::span<const float> future, Norm norm, std::int64_t stride,
              TokenBatch& tokens, Floats& rows) const override;
  const std::vector<float>& reg_token() const override { return reg_; }
  // The decoder's state, final norm included.
  void states(TokenBatch& tokens, TowerScratch& scratch, Floats& states) const override;

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
  // tokens.x becomes the encoder's output, final norm included.
  void encode(TokenBatch& tokens, TowerScratch& scratch) const;
  void decode(const TokenBatch& tokens, TowerScratch& scratch, Floats& states) const;
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
