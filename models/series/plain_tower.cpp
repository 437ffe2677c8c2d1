#include "models/series/plain_tower.h"

namespace shelfcast::models {

PlainTower::PlainTower(const TowerConfig& config, const std::string& prefix, ParameterMaker& make,
                       NetworkMaker* make_network)
    : config_(config) {
  TowerMaker maker(config, prefix, make);
  input_ = maker.input_block();
  network_ = make_network(config, maker);
  output_ = maker.output_block();
}

at::Tensor PlainTower::states(const TowerInputs& inputs, const Dropout& dropout) const {
  const DemandPatches read =
      demand_patches(inputs.demand, config_.input_patch_size, config_.input_patch_stride);
  const std::int64_t windows = read.attended_bn.size(0), tokens = read.attended_bn.size(1);
  at::Tensor x =
      input_(read.patches, dropout.site("input_patch_embedding"), inputs.more_hidden, inputs.more_residual);
  if (inputs.shift_bd.defined())
    x = (x.view({windows, tokens, config_.d_model}) + inputs.shift_bd.unsqueeze(1)).view_as(x);
  x = models::dropout(changed_tokens(x, windows, inputs.change), dropout.site("encoder.input"));
  return models::dropout(network_->last_state(x, read.attended_bn, dropout), dropout.site("encoder.output"));
}

at::Tensor PlainTower::quantiles(const at::Tensor& states, std::int64_t windows,
                                 const Dropout& dropout) const {
  const auto levels = static_cast<std::int64_t>(config_.quantiles.size());
  return output_(states, dropout.site("output_patch_embedding"))
      .view({windows, levels, config_.prediction_length});
}

}  // namespace shelfcast::models
