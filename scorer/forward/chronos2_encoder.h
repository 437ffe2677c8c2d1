// The encoder of Chronos-2: its layers attend in turns to a series' own tokens and to the tokens at the same
// place in the other series of its group (docs/model.md, "Chronos-2", step 4).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "scorer/forward/activation.h"
#include "scorer/forward/series_tower.h"

namespace shelfcast::scorer {

// Immutable after construction; any number of threads, each with its own scratch. What a series gets depends
// on its own group only, bit for bit.
class Chronos2Encoder {
 public:
  // What encode() will be asked for: groups of one need less memory.
  enum class Groups { of_one, of_any_size };
  // Takes the tensors "encoder.*". Throws Error(data).
  Chronos2Encoder(const TowerConfig& config, Groups groups, const Ops& ops, Weights& weights);

  // `group_sizes`: how many consecutive series exchange information, their sum is the number of series.
  // `states` [series * last, d_model]: the last `last` tokens of each series, final norm included.
  // Tokens that are never attended to must be left out; tokens.x is overwritten.
  void encode(TokenBatch& tokens, std::span<const std::int64_t> group_sizes, std::int64_t last,
              TowerScratch& scratch, Floats& states) const;

 private:
  struct AttentionLayer {
    Floats norm;
    DenseLayer q, kv, o;
  };
  struct Layer {
    AttentionLayer time, group;  // of groups of one `group` is its norm
    DenseLayer alone;            // Wo Wv of the group attention: all that it does to a series without a group
    Floats norm;
    DenseLayer wi, wo;
  };

  AttentionLayer read_attention(Weights& weights, const std::string& prefix) const;
  void read_group_attention(Weights& weights, const std::string& prefix, Layer& layer) const;
  Layer read_layer(Weights& weights, std::int64_t index) const;
  void make_rotation();

  void normalise(const Floats& norm, const float* x, std::int64_t rows, float* y) const;
  void turn(const std::int32_t* position, std::int64_t rows, std::int64_t heads, std::int64_t stride,
            float* x) const;
  // Every token asks.
  void attend_time(const AttentionLayer& layer, TokenBatch& tokens, TowerScratch& scratch) const;
  // The tokens in scratch.ends ask, the last ones of each series; nobody else is needed after the last layer.
  void attend_time_at_ends(const AttentionLayer& layer, const TokenBatch& tokens,
                           TowerScratch& scratch) const;
  void attend_groups(const Layer& layer, std::span<const std::int64_t> group_sizes, TokenBatch& tokens,
                     TowerScratch& scratch) const;
  void pass_alone(const Layer& layer, std::int64_t rows, float* x, TowerScratch& scratch) const;
  void attend_group(const AttentionLayer& layer, std::span<const TokenBatch::Span> group, TokenBatch& tokens,
                    TowerScratch& scratch) const;
  void attend_windows(const AttentionLayer& layer, TokenBatch& tokens, TowerScratch& scratch) const;
  void feed_forward(const Layer& layer, TokenBatch& tokens, TowerScratch& scratch) const;

  TowerConfig config_;
  Groups groups_;
  const Ops& ops_;
  ActivationFunction activation_;
  Floats cos_, sin_;  // [positions, d_kv / 2]
  std::vector<Layer> layers_;
  Floats norm_;
};

}  // namespace shelfcast::scorer
