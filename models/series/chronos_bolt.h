// The Chronos-Bolt tower: an encoder over patches of the context and one decoder step (docs/model.md, steps 5
// to 9).
#pragma once

#include <torch/types.h>

#include <vector>

#include "models/attention.h"
#include "models/blocks.h"
#include "models/config.h"

namespace shelfcast::models {

// Legend: b windows, n patches, l tokens (patches and REG), d width of a token, p steps of a patch, f hidden
// width, q quantiles, h steps.

// What the tower reads.
struct PatchInputs {
  at::Tensor patches;      // [b*n, 2p]: values, then 1 where observed
  at::Tensor attended_bn;  // bool: any step of the patch observed
  // What context adds; undefined = nothing.
  at::Tensor more_hidden;    // [b*n, f], before the patch embedding's relu
  at::Tensor more_residual;  // [b*n, d]
  at::Tensor shift_bd;       // added to every token
};

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

class ChronosBolt {
 public:
  // Makes its parameters, named as published with `prefix`.
  ChronosBolt(const BoltConfig& config, const std::string& prefix, ParameterMaker& make);

  // The decoder's final hidden state [b, d].
  at::Tensor state(const PatchInputs& inputs, const Dropout& dropout) const;
  // [b, d] -> scaled quantiles [b, q, h] at the tower's own levels and steps.
  at::Tensor quantiles(const at::Tensor& state_bd, const Dropout& dropout) const;

 private:
  struct EncoderBlock {
    BoltAttention attention;
    BoltFeedForward feed_forward;
  };
  struct DecoderBlock {
    BoltAttention self, cross;
    BoltFeedForward feed_forward;
  };

  at::Tensor encode(const PatchInputs& inputs, const at::Tensor& mask_bl, const Dropout& dropout) const;
  at::Tensor decode(const at::Tensor& memory, const at::Tensor& mask_bl, const Dropout& dropout) const;
  at::Tensor feed_forward(const at::Tensor& x, const BoltFeedForward& layer, const std::string& site,
                          const Dropout& dropout) const;
  at::Tensor decoder_self_attention(const at::Tensor& y, const BoltAttention& layer, const std::string& site,
                                    const Dropout& dropout) const;
  void add_prefix(at::Tensor& mixed, const at::Tensor& queries, const BoltAttention& layer) const;

  BoltConfig config_;
  Activation activation_;
  at::Tensor shared_;
  ResidualBlock input_, output_;
  at::Tensor encoder_bias_, decoder_bias_, encoder_norm_, decoder_norm_;
  std::vector<EncoderBlock> encoder_;
  std::vector<DecoderBlock> decoder_;
};

}  // namespace shelfcast::models
