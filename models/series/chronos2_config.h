// A Chronos-2 tower's shapes and its published config.json. Free of torch.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "models/config.h"

namespace shelfcast::models {

// The names are those of the published config.json. Defaults are the largest published size, 120 M
// parameters.
struct Chronos2Config {
  std::int64_t d_model = 768, d_kv = 64, d_ff = 3072, num_layers = 12, num_heads = 12;
  double dropout_rate = 0.1, layer_norm_epsilon = 1e-6, initializer_factor = 1.0, rope_theta = 10000.0;
  std::string activation = "relu";  // a name activation_of() knows
  std::int64_t context_length = 8192;
  std::int64_t patch_size = 16;          // of inputs and outputs alike: the reference wants them equal
  std::int64_t input_patch_stride = 16;  // of the context; smaller ones overlap
  std::int64_t max_output_patches = 64;  // patches of one forward; longer horizons are unrolled
  std::int64_t time_encoding_scale = 8192;
  std::vector<double> quantiles = {0.01, 0.05, 0.1,  0.15, 0.2,  0.25, 0.3,  0.35, 0.4,  0.45, 0.5,
                                   0.55, 0.6,  0.65, 0.7,  0.75, 0.8,  0.85, 0.9,  0.95, 0.99};
  bool use_reg_token = true, use_arcsinh = true;

  // Steps that one forward can reach.
  std::int64_t prediction_length() const { return max_output_patches * patch_size; }
  // Throws Error(input) naming the field.
  void validate() const;
};

// The towers of this architecture, and back: whole patches of max_output_patches are its prediction_length.
TowerConfig tower_config(const Chronos2Config& config);
Chronos2Config chronos2_config(const TowerConfig& config);

inline constexpr const char* kChronos2Names[] = {"chronos-2-nano", "chronos-2-small", "chronos-2"};
// "chronos-2-nano" (32 wide, 2 layers: tests), "chronos-2-small" (28 M parameters), "chronos-2" (120 M).
// Throws Error(input) with the nearest name.
Chronos2Config named_chronos2(const std::string& name);

// config.json in the published form (loadable by the Python package), and back. Keys that the package has
// defaults for may be missing. Throws Error(data) naming the field when it describes another kind of model or
// one that the package refuses, too; Error(input) as validate() does.
nlohmann::json to_published_json(const Chronos2Config& config);
Chronos2Config chronos2_config_from_published_json(const nlohmann::json& json);

}  // namespace shelfcast::models
