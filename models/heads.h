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
    at::Tensor cumulated_bqh;     // undefined without a head of sums (demand_model.h)
    at::Tensor class_logits_bch;  // undefined without a head of classes
    // In the scale of inventory.h, beside what was on hand last; undefined without a head of stock on hand.
    at::Tensor inventory_bh;
  };
  // In the scale of the tower's quantiles, and the mean in that of the instance norm. `states` and
  // `tower_bqh` as of the tower (series_tower.h); `known_bxh` the known covariates over the horizon,
  // undefined without any; `closed_bh` where there is no demand, undefined if there always may be, and
  // `closures_b2h` what is closed around each step (closed_steps.h), undefined without model.closures.
  Result operator()(const at::Tensor& states, const at::Tensor& tower_bqh, const at::Tensor& known_bxh,
                    const at::Tensor& closed_bh, const at::Tensor& closures_b2h,
                    const Normalised& demand) const;

  // What the context's patches hold, by their states [b*n, d]: of its `steps` steps, in the scale of the
  // instance norm, [b, steps].
  at::Tensor hidden_steps(const at::Tensor& states, std::int64_t steps) const;

 private:
  // [b, r, h]: what the known covariates add to all results. `each`: steps of a state.
  at::Tensor known(const at::Tensor& states, std::int64_t each, const at::Tensor& known_bxh,
                   const at::Tensor& closures_b2h, const Normalised& demand) const;
  // [b, r, h]: what the states say through a layer of `results` rows for each step.
  at::Tensor by_step(const Linear& layer, std::int64_t results, const at::Tensor& states,
                     std::int64_t windows, std::int64_t each) const;
  // What demand adds up to if its steps were independent.
  at::Tensor independent_sums(const Result& result) const;

  DemandModelConfig config_;
  std::vector<std::int64_t> tower_rows_;
  at::Tensor known_state_, known_input_, step_bias_;
  Linear known_output_, mean_, dispersion_, zeros_, cumulated_, classes_, inventory_, masked_;
};

}  // namespace shelfcast::models
