// What stands beside the demand series: other columns, statics and text (docs/model.md, steps 1-6).
#pragma once

#include <torch/types.h>

#include <string>
#include <vector>

#include "models/blocks.h"
#include "models/config.h"
#include "models/inputs.h"
#include "models/normalise.h"
#include "models/series/series_tower.h"

namespace shelfcast::models {

// What starts at zero: nothing from scratch; with pretrained weights every path that would change their
// forecast.
enum class Start { from_scratch, at_pretrained };

// Statics, text and columns beside demand.
class Context {
 public:
  Context(const DemandModelConfig& config, Start start, ParameterMaker& make);

  // The last steps the tower reads: context cut to `context_length`, known columns to that and the horizon.
  ModelInputs cut(const ModelInputs& inputs) const;
  // Known covariates, numeric and embedded: [b, x, u]; undefined without any.
  at::Tensor known_columns(const ModelInputs& inputs) const;
  // [b, 2d]: what statics and text add to every token (first half) and to the decoder's state (second half);
  // undefined without either.
  at::Tensor shift(const ModelInputs& inputs) const;
  // [b]: log of the mean demand (units/step) that statics and text let expect; undefined without model.level.
  at::Tensor level(const ModelInputs& inputs) const;
  // The tower's inputs; `known_bxu` and `shift_b2d` as made above.
  TowerInputs tower_inputs(const ModelInputs& inputs, const Normalised& demand, const at::Tensor& known_bxu,
                           const at::Tensor& shift_b2d) const;

 private:
  DemandModelConfig config_;
  std::vector<at::Tensor> past_tables_, known_tables_, static_tables_;
  at::Tensor patch_hidden_, patch_residual_;
  Linear static_shift_, number_shift_, text_shift_;
  at::Tensor static_level_, number_level_, text_level_, level_bias_;
  // [b, widths of all statics]; undefined without any.
  at::Tensor embedded_statics(const ModelInputs& inputs) const;
  void add_series_beside(const ModelInputs& inputs, TowerInputs& result) const;
};

}  // namespace shelfcast::models
