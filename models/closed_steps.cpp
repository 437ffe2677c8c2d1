#include "models/closed_steps.h"

namespace shelfcast::models {
namespace {

// How many closed steps in a row end right before each.
at::Tensor closed_before(const at::Tensor& closed_bu) {
  const at::Tensor step_u = at::arange(closed_bu.size(1), closed_bu.options().dtype(at::kLong));
  const at::Tensor last_open_bu =
      std::get<0>(step_u.expand_as(closed_bu).masked_fill(closed_bu, -1).cummax(1));
  const at::Tensor ending_here_bu = step_u - last_open_bu;
  return at::constant_pad_nd(ending_here_bu.narrow(1, 0, ending_here_bu.size(1) - 1), {1, 0});
}

}  // namespace

at::Tensor closed_steps(const ModelInputs& inputs, const DemandModelConfig& config) {
  if (config.open_column < 0) return {};
  return inputs.known_bnu.select(1, config.open_column) < kClosedBelow;
}

at::Tensor closures(const at::Tensor& closed_bu) {
  const at::Tensor runs_b2u =
      at::stack({closed_before(closed_bu), closed_before(closed_bu.flip(1)).flip(1)}, 1);
  return runs_b2u.clamp_max(kMostClosed).to(at::kFloat).log1p();
}

}  // namespace shelfcast::models
