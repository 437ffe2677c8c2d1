// From the decoder's state to forecasts: known covariates by step, quantiles, mean (docs/model.md, steps 10
// and 11).
#pragma once

#include <torch/types.h>

#include "models/blocks.h"
#include "models/config.h"
#include "models/context.h"

namespace shelfcast::models {

class Heads {
 public:
  Heads(const DemandModelConfig& config, Start start, ParameterMaker& make);

  struct Result {
    at::Tensor quantiles_bqh;
    at::Tensor mean_bh;  // undefined without a mean head; not yet bent (likelihoods.h)
    // Of the counts, undefined without them: > 0; a logit, undefined unless zero-inflated.
    at::Tensor dispersion_bh, zeros_bh;
  };
  // All in the scale of the instance norm. `tower_bqh` at the tower's levels and steps; `known_bxh` the known
  // covariates over the horizon, undefined without any.
  Result operator()(const at::Tensor& state_bd, const at::Tensor& tower_bqh, const at::Tensor& known_bxh,
                    const Normalised& demand) const;

 private:
  // [b, levels (and mean, and counts), h]: what the known covariates add.
  at::Tensor known(const at::Tensor& state_bd, const at::Tensor& known_bxh, const Normalised& demand) const;

  DemandModelConfig config_;
  std::vector<std::int64_t> tower_rows_;
  at::Tensor known_state_, known_input_, step_bias_;
  Linear known_output_, mean_, counts_;
};

}  // namespace shelfcast::models
