#include "models/series/chronos2_tower.h"

namespace shelfcast::models {

namespace {

// What is added to the context's patches [b*n, x], and nothing to the `ahead` of the future: [b * (n + f),
// x].
at::Tensor and_nothing_ahead(const at::Tensor& x, std::int64_t windows, std::int64_t ahead) {
  if (!x.defined()) return x;
  return at::constant_pad_nd(x.view({windows, -1, x.size(1)}), {0, 0, 0, ahead}, 0).flatten(0, 1);
}

}  // namespace

Chronos2Tower::Chronos2Tower(const TowerConfig& config, const std::string& prefix, ParameterMaker& make)
    : tower_(chronos2_config(config), prefix, make) {}

at::Tensor Chronos2Tower::states(const TowerInputs& inputs, const Dropout& dropout) const {
  const Chronos2Config& config = tower_.config();
  const std::int64_t windows = inputs.demand.scaled_bt.size(0),
                     ahead = (inputs.horizon + config.patch_size - 1) / config.patch_size;
  const Chronos2Patches read = chronos2_patches(inputs.demand, {}, ahead, config);
  return tower_.states(read, GroupPlan::of(windows, {}), dropout,
                       {and_nothing_ahead(inputs.more_hidden, windows, ahead),
                        and_nothing_ahead(inputs.more_residual, windows, ahead), inputs.shift_bd, inputs.change});
}

at::Tensor Chronos2Tower::quantiles(const at::Tensor& states, std::int64_t windows,
                                    const Dropout& dropout) const {
  return tower_.quantiles(states, windows, dropout);
}

}  // namespace shelfcast::models
