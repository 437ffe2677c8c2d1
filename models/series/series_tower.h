// What every series tower does: from patches of the context to one state of the window, and from that to
// quantiles (docs/model.md, steps 5 to 9).
#pragma once

#include <torch/types.h>

#include <memory>
#include <string>

#include "models/blocks.h"
#include "models/config.h"

namespace shelfcast::models {

// Legend: b windows, n patches, d width of a token, p steps of a patch, f hidden width, q quantiles, h steps.

// What a tower reads.
struct PatchInputs {
  at::Tensor patches;      // [b*n, 2p]: values, then 1 where observed
  at::Tensor attended_bn;  // bool: any step of the patch observed
  // What context adds; undefined = nothing.
  at::Tensor more_hidden;    // [b*n, f], before the patch embedding's relu
  at::Tensor more_residual;  // [b*n, d]
  at::Tensor shift_bd;       // added to every token
};

class SeriesTower {
 public:
  virtual ~SeriesTower() = default;
  // The final state [b, d] of each window.
  virtual at::Tensor state(const PatchInputs& inputs, const Dropout& dropout) const = 0;
  // [b, d] -> scaled quantiles [b, q, h] at the tower's own levels and steps.
  virtual at::Tensor quantiles(const at::Tensor& state_bd, const Dropout& dropout) const = 0;
};

// The tower of this architecture. Makes its parameters, named with `prefix`.
std::unique_ptr<SeriesTower> make_tower(const TowerConfig& config, const std::string& prefix,
                                        ParameterMaker& make);

}  // namespace shelfcast::models
