// The Chronos-Bolt tower: an encoder over patches of the context and one decoder step (docs/model.md, steps 5
// to 9).
#pragma once

#include <torch/types.h>

#include <vector>

#include "models/attention.h"
#include "models/blocks.h"
#include "models/config.h"
#include "models/series/series_tower.h"

namespace shelfcast::models {

// Legend: b windows, l tokens (patches and REG), d width of a token.

// The weights of one sublayer, the norm before it included.
struct BoltAttention {
  at::Tensor norm;
  Weight q, k, v, o;
};
struct BoltFeedForward {
  at::Tensor norm;
  Weight wi, wo;
  Weight gate;  // wi_0 of gated layers (`wi` is their wi_1), else undefined
};

class ChronosBolt : public SeriesTower {
 public:
  // Makes its parameters, named as published with `prefix`.
  ChronosBolt(const TowerConfig& config, const std::string& prefix, ParameterMaker& make);

  // The decoder's final hidden state [b, d].
  at::Tensor states(const TowerInputs& inputs, const Dropout& dropout) const override;
  at::Tensor quantiles(const at::Tensor& states, std::int64_t windows, const Dropout& dropout) const override;

 private:
  struct EncoderBlock {
    BoltAttention attention;
    BoltFeedForward feed_forward;
  };
  struct DecoderBlock {
    BoltAttention self, cross;
    BoltFeedForward feed_forward;
  };

  at::Tensor encode(const at::Tensor& patches, const TowerInputs& inputs, const at::Tensor& mask_bl,
                    const Dropout& dropout) const;
  at::Tensor encoder_attention(const at::Tensor& x, const at::Tensor& bias_nll, const at::Tensor& mask_bl,
                               const BoltAttention& layer, const AttentionShape& shape,
                               const std::string& site, const Dropout& dropout) const;
  at::Tensor decode(const at::Tensor& memory, const at::Tensor& mask_bl, const Dropout& dropout) const;
  at::Tensor feed_forward(const at::Tensor& x, const BoltFeedForward& layer, const std::string& site,
                          const Dropout& dropout) const;
  at::Tensor decoder_self_attention(const at::Tensor& y, const BoltAttention& layer, const std::string& site,
                                    const Dropout& dropout) const;

  TowerConfig config_;
  Activation activation_;
  at::Tensor shared_;
  ResidualBlock input_, output_;
  at::Tensor encoder_bias_, decoder_bias_, encoder_norm_, decoder_norm_;
  std::vector<EncoderBlock> encoder_;
  std::vector<DecoderBlock> decoder_;
};

}  // namespace shelfcast::models
