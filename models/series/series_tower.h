// What every series tower does: from the demand of the context to the states of a window, and from those to
// quantiles (docs/model.md, steps 5 to 9).
#pragma once

#include <torch/types.h>

#include <memory>
#include <string>

#include "models/blocks.h"
#include "models/config.h"
#include "models/normalise.h"
#include "models/token_change.h"

namespace shelfcast::models {

// Legend: b windows, n patches of the context, s states, d width of a token, f hidden width, q quantiles, h
// steps, t steps of the context, c covariates.

// What a tower reads.
struct TowerInputs {
  Normalised demand;
  std::int64_t horizon = 1;  // steps to forecast, at least
  // What context adds; undefined = nothing.
  at::Tensor more_hidden;         // [b*n, f], before the patch embedding's activation
  at::Tensor more_residual;       // [b*n, d]
  at::Tensor shift_bd;            // added to every token
  TokenChange* change = nullptr;  // of the tokens that the blocks read; null = none
  // Where to put the final states [b*n, d] of the context's patches, of towers that have them; null = not
  // asked for.
  at::Tensor* context_states = nullptr;
  // Series that a tower with groups reads beside each window's demand, NaN = missing or unknown; undefined =
  // none.
  at::Tensor beside_bct, beside_future_bch;
};

class SeriesTower {
 public:
  virtual ~SeriesTower() = default;
  // The final states [b*s, d]: of each window one for all steps ahead, or one for each patch of them.
  virtual at::Tensor states(const TowerInputs& inputs, const Dropout& dropout) const = 0;
  // [b*s, d] -> scaled quantiles [b, q, h] at the tower's own levels, h / s steps of each state, at least
  // the horizon together.
  virtual at::Tensor quantiles(const at::Tensor& states, std::int64_t windows,
                               const Dropout& dropout) const = 0;
};

// The tower of this architecture. Makes its parameters, named with `prefix`.
std::unique_ptr<SeriesTower> make_tower(const TowerConfig& config, const std::string& prefix,
                                        ParameterMaker& make);

}  // namespace shelfcast::models
