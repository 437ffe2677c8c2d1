// From the tower's states to forecasts: known covariates by step, quantiles, mean (docs/model.md, steps 10
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
  // In the scale of the tower's quantiles, and the mean in that of the instance norm. `states` and
  // `tower_bqh` as of the tower (series_tower.h); `known_bxh` the known covariates over the horizon,
  // undefined without any.
  Result operator()(const at::Tensor& states, const at::Tensor& tower_bqh, const at::Tensor& known_bxh,
                    const Normalised& demand) const;

 private:
  // [b, levels (and mean, and counts), h]: what the known covariates add. `each`: steps of a state.
  at::Tensor known(const at::Tensor& states, std::int64_t each, const at::Tensor& known_bxh,
                   const Normalised& demand) const;
  // [b, n, h]: what n functions of each step make of the step's state.
  at::Tensor of_states(const Linear& functions, std::int64_t n, const at::Tensor& states,
                       std::int64_t windows, std::int64_t each) const;

  DemandModelConfig config_;
  std::vector<std::int64_t> tower_rows_;
  at::Tensor known_state_, known_input_, step_bias_;
  Linear known_output_, mean_, counts_;
};

}  // namespace shelfcast::models
