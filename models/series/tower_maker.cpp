#include "models/series/tower_maker.h"

namespace shelfcast::models {

namespace {

constexpr double kForecastScale = 0.1;  // layers that make forecasts start ten times smaller

// Inverse of the standard normal distribution, by bisection: it is needed a few times at start.
double normal_quantile(double level) {
  double low = -10.0, high = 10.0;
  for (int i = 0; i < 60; ++i) {
    const double middle = 0.5 * (low + high);
    (0.5 * std::erfc(-middle / std::sqrt(2.0)) < level ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

}  // namespace

ResidualBlock TowerMaker::residual_block(const std::string& name, std::int64_t in, std::int64_t out,
                                         double last) {
  ResidualBlock block;
  block.activation = activation_of(c_.activation);
  block.hidden = linear(name + ".hidden_layer", c_.d_ff, in, inverse_root(in));
  block.output = linear(name + ".output_layer", out, c_.d_ff, last * inverse_root(c_.d_ff));
  block.residual = linear(name + ".residual_layer", out, in, last * inverse_root(in));
  return block;
}

ResidualBlock TowerMaker::input_block() {
  return residual_block("input_patch_embedding", 2 * c_.input_patch_size, c_.d_model, 1.0);
}

ResidualBlock TowerMaker::output_block() {
  const auto levels = static_cast<std::int64_t>(c_.quantiles.size()), steps = c_.prediction_length;
  ResidualBlock block = residual_block("output_patch_embedding", c_.d_model, levels * steps, kForecastScale);
  const at::NoGradGuard no_grad;
  for (std::int64_t q = 0; q < levels; ++q) {
    block.output.bias.narrow(0, q * steps, steps)
        .fill_(normal_quantile(c_.quantiles[static_cast<std::size_t>(q)]));
  }
  return block;
}

}  // namespace shelfcast::models
