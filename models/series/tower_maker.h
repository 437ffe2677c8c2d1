// First values of a series tower's layers: the published rules, each times the config's initializer_factor
// (docs/model.md, "Initial values").
#pragma once

#include <cmath>
#include <string>

#include "models/blocks.h"
#include "models/config.h"

namespace shelfcast::models {

class TowerMaker {
 public:
  TowerMaker(const TowerConfig& config, std::string prefix, ParameterMaker& make)
      : c_(config), prefix_(std::move(prefix)), make_(make) {}

  Weight weight(const std::string& name, std::int64_t out, std::int64_t in, double deviation) {
    return make_.matrix(prefix_ + name, {out, in}, c_.initializer_factor * deviation);
  }
  at::Tensor table(const std::string& name, std::int64_t rows, std::int64_t width, double deviation) {
    return make_.normal(prefix_ + name, {rows, width}, c_.initializer_factor * deviation,
                        ParameterMaker::Decay::no);
  }
  at::Tensor constant(const std::string& name, std::int64_t width, float value) {
    return make_.constant(prefix_ + name, {width}, value);
  }
  at::Tensor gain(const std::string& name) { return constant(name, c_.d_model, 1.0F); }

  Linear linear(const std::string& name, std::int64_t out, std::int64_t in, double deviation) {
    return {weight(name + ".weight", out, in, deviation), constant(name + ".bias", out, 0.0F)};
  }
  // The patch embedding.
  ResidualBlock input_block();
  // From a state to all quantiles: its last layers start ten times smaller, with biases at the standard
  // normal's quantiles, so that first forecasts are those of a normal distribution.
  ResidualBlock output_block();

  static double inverse_root(std::int64_t n) { return 1.0 / std::sqrt(static_cast<double>(n)); }

 private:
  // `last` scales the layers that make the block's result.
  ResidualBlock residual_block(const std::string& name, std::int64_t in, std::int64_t out, double last);

  const TowerConfig& c_;
  std::string prefix_;
  ParameterMaker& make_;
};

}  // namespace shelfcast::models
