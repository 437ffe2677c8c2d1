// A series tower's shapes: what model.json of a bundle, or config.json of a published model, says.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace shelfcast::scorer {

enum class Architecture { chronos_bolt, chronos2 };

struct TowerConfig {
  std::int64_t d_model = 0, d_kv = 0, d_ff = 0, num_layers = 0, num_decoder_layers = 0, num_heads = 0;
  std::int64_t buckets = 32, max_distance = 128;
  double epsilon = 1e-6;
  std::int64_t context_length = 0, prediction_length = 0, patch = 16;
  std::vector<double> quantiles;
  bool use_reg_token = true;
  std::int64_t stride = 16;         // steps from the begin of a patch to that of the next
  std::string activation = "relu";  // a name activation_function() knows
  bool gated = false;               // feed-forward layers: activation(wi_0 x) * (wi_1 x)
  Architecture architecture = Architecture::chronos_bolt;
  // Of Chronos-2: its prediction_length is whole patches; quantiles may be the arcsinh of a scale.
  double rope_theta = 10000.0;
  std::int64_t time_scale = 8192;
  bool use_arcsinh = false;

  std::int64_t inner() const { return num_heads * d_kv; }
  // Missing steps put before `steps` of context to make whole patches, and patches then.
  std::int64_t padding(std::int64_t steps) const { return (patch - steps % patch) % patch; }
  std::int64_t patches(std::int64_t steps) const { return (steps + padding(steps) - patch) / stride + 1; }
};

}  // namespace shelfcast::scorer
