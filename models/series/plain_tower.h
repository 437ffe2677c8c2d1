// The plain towers that Chronos-Bolt is compared with: the same patch embedding before and the same output
// block behind a network of standard architecture, trained from scratch (docs/model.md, "Plain towers").
#pragma once

#include <torch/types.h>

#include <memory>
#include <string>

#include "models/series/series_tower.h"
#include "models/series/tower_maker.h"

namespace shelfcast::models {

// Legend: b windows, n patches (tokens), d width of a token.

// Reads a window's tokens in their order and ends in one state.
class SequenceNetwork {
 public:
  virtual ~SequenceNetwork() = default;
  // tokens [b*n, d] of `attended_bn`, whose tokens that hold no observation are false -> [b, d].
  virtual at::Tensor last_state(const at::Tensor& tokens, const at::Tensor& attended_bn,
                                const Dropout& dropout) const = 0;
};

using NetworkMaker = std::unique_ptr<SequenceNetwork>(const TowerConfig& config, TowerMaker& make);
// Stacked LSTM layers (Hochreiter and Schmidhuber, 1997); parameters as torch.nn.LSTM has them, with one
// bias.
NetworkMaker make_lstm;
// Residual blocks of two dilated causal convolutions each (Bai et al., 2018, without weight normalisation).
NetworkMaker make_tcn;
// Encoder layers as torch.nn.TransformerEncoderLayer(norm_first=True) has them (Vaswani et al., 2017), with
// sinusoidal positions counted back from the origin.
NetworkMaker make_transformer;

class PlainTower : public SeriesTower {
 public:
  PlainTower(const TowerConfig& config, const std::string& prefix, ParameterMaker& make,
             NetworkMaker* make_network);

  at::Tensor states(const TowerInputs& inputs, const Dropout& dropout) const override;
  at::Tensor quantiles(const at::Tensor& states, std::int64_t windows, const Dropout& dropout) const override;

 private:
  TowerConfig config_;
  ResidualBlock input_, output_;
  std::unique_ptr<SequenceNetwork> network_;
};

}  // namespace shelfcast::models
