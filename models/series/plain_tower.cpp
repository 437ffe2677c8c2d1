#include "models/series/plain_tower.h"

#include "models/series/chronos_bolt.h"

namespace shelfcast::models {

std::unique_ptr<SeriesTower> make_tower(const TowerConfig& config, const std::string& prefix,
                                        ParameterMaker& make) {
  switch (config.architecture) {
    case Architecture::lstm:
      return std::make_unique<PlainTower>(config, prefix, make, make_lstm);
    case Architecture::tcn:
      return std::make_unique<PlainTower>(config, prefix, make, make_tcn);
    case Architecture::transformer:
      return std::make_unique<PlainTower>(config, prefix, make, make_transformer);
    case Architecture::chronos_bolt:
      break;
  }
  return std::make_unique<ChronosBolt>(config, prefix, make);
}

PlainTower::PlainTower(const TowerConfig& config, const std::string& prefix, ParameterMaker& make,
                       NetworkMaker* make_network)
    : config_(config) {
  TowerMaker maker(config, prefix, make);
  input_ = maker.input_block();
  network_ = make_network(config, maker);
  output_ = maker.output_block();
}

at::Tensor PlainTower::state(const PatchInputs& inputs, const Dropout& dropout) const {
  const std::int64_t windows = inputs.attended_bn.size(0), tokens = inputs.attended_bn.size(1);
  at::Tensor x =
      input_(inputs.patches, dropout.site("input_patch_embedding"), inputs.more_hidden, inputs.more_residual);
  if (inputs.shift_bd.defined())
    x = (x.view({windows, tokens, config_.d_model}) + inputs.shift_bd.unsqueeze(1)).view_as(x);
  x = models::dropout(x, dropout.site("encoder.input"));
  return models::dropout(network_->last_state(x, inputs.attended_bn, dropout),
                         dropout.site("encoder.output"));
}

at::Tensor PlainTower::quantiles(const at::Tensor& state_bd, const Dropout& dropout) const {
  const auto levels = static_cast<std::int64_t>(config_.quantiles.size());
  return output_(state_bd, dropout.site("output_patch_embedding"))
      .view({state_bd.size(0), levels, config_.prediction_length});
}

}  // namespace shelfcast::models
