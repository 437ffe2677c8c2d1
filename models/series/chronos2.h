// The Chronos-2 tower: an encoder over the patches of a series and of its future, whose layers attend in
// turns to the series' own tokens and to the same places of the other series of its group (docs/model.md,
// "Chronos-2").
#pragma once

#include <torch/types.h>

#include <string>
#include <vector>

#include "models/blocks.h"
#include "models/inputs.h"
#include "models/series/chronos2_config.h"
#include "models/series/chronos2_patches.h"
#include "models/series/groups.h"
#include "models/series/window_attention.h"
#include "models/token_change.h"

namespace shelfcast::models {

// Legend: b series (rows), t context steps, h steps ahead, q quantiles, l tokens of a series, d width of a
// token, n patches of the context, f output patches, p steps of one, F width of hidden layers.

// Quantiles in the scale of each row's norm.
struct Chronos2Forecast {
  at::Tensor quantiles_bqh;   // at the config's levels; h = patches * patch_size
  at::Tensor loc_b, scale_b;  // y = (sinh(scaled) or scaled) * scale + loc
  bool arcsinh = true;
  // In the rows' own units.
  at::Tensor demand_quantiles_bqh() const;
};

// What is added while tokens are made; undefined = nothing.
struct TokenAdditions {
  at::Tensor hidden;              // [b * (n + f), F], in the patch embedding, before its activation
  at::Tensor residual;            // [b * (n + f), d], to its result
  at::Tensor shift_bd;            // to every token
  TokenChange* change = nullptr;  // of all tokens; null = none
};

// The final states of a forward.
struct Chronos2States {
  at::Tensor ahead;    // [b*f, d], of the future's patches
  at::Tensor context;  // [b*n, d], of the context's; undefined unless asked for
};
// Those of the future alone cost less: the last block then computes no others.
enum class StatesOf { future, all_patches };

class Chronos2 {
 public:
  // Makes its parameters, named as published with `prefix`.
  Chronos2(const Chronos2Config& config, const std::string& prefix, ParameterMaker& make);

  const Chronos2Config& config() const { return config_; }
  // Takes inputs to the device of the parameters, where its result lies. `keys` has one sample id a row;
  // nullptr = evaluation. What a row gets depends on its group alone, not on who else is in the batch (beyond
  // rounding), nor on the order of the rows. In training a group's draws are those of its smallest sample id.
  // Throws Error(input) for shapes that do not fit.
  Chronos2Forecast forward(const Chronos2Inputs& inputs, const DropoutKeys* keys) const;

  // The two halves of a forward, rows in the plan's order; `dropout` has one draw a row.
  Chronos2States states(const Chronos2Patches& read, const GroupPlan& plan, const Dropout& dropout,
                        const TokenAdditions& more = {}, StatesOf asked = StatesOf::future) const;
  // [b*f, d] -> [b, q, f*p].
  at::Tensor quantiles(const at::Tensor& states, std::int64_t rows, const Dropout& dropout) const;

 private:
  struct Attention {
    at::Tensor norm;
    Weight q, k, v, o;
  };
  struct Block {
    Attention time, group;
    at::Tensor norm;
    Weight wi, wo;
  };
  // What all layers share.
  struct Pass {
    std::int64_t rows, tokens, patches;
    at::Tensor mask_bl;
    Rotation rotation;
    GroupPlan plan;
    Dropout dropout;
  };

  at::Tensor embed(const at::Tensor& patches_bnp, const TokenAdditions& more, const Pass& pass) const;
  at::Tensor time_attention(const at::Tensor& x, const Attention& a, const std::string& site,
                            const Pass& pass, bool last) const;
  at::Tensor group_attention(const at::Tensor& x, const Attention& a, const std::string& site,
                             const Pass& pass, std::int64_t tokens) const;
  at::Tensor mixed_by_group(const at::Tensor& x, const Attention& a, const SiteDropout& site,
                            const Pass& pass, const GroupClass& part, std::int64_t tokens) const;
  at::Tensor feed_forward(const at::Tensor& x, const Block& block, const std::string& site,
                          const Pass& pass) const;

  Chronos2Config config_;
  Activation activation_;
  at::Tensor shared_;
  ResidualBlock input_, output_;
  std::vector<Block> blocks_;
  at::Tensor norm_;
};

}  // namespace shelfcast::models
