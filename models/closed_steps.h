// Steps where nothing can be sold: which they are, and how many of them stand around a step.
#pragma once

#include <torch/types.h>

#include "models/config.h"
#include "models/inputs.h"

namespace shelfcast::models {

// Over context and horizon: [b, u]; undefined without config.open_column. A missing value is an open step.
at::Tensor closed_steps(const ModelInputs& inputs, const DemandModelConfig& config);

// Of each step log(1 + n), n = the closed steps in a row that end right before it, and of those that begin
// right behind it; as far as [b, u] goes, at most kMostClosed: [b, 2, u], float32.
at::Tensor closures(const at::Tensor& closed_bu);

}  // namespace shelfcast::models
