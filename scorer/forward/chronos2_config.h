// A Chronos-2 tower's shapes and its published config.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace shelfcast::scorer {

struct Chronos2Config {
  std::int64_t d_model = 0, d_kv = 0, d_ff = 0, num_layers = 0, num_heads = 0;
  double epsilon = 1e-6, rope_theta = 10000.0;
  std::string activation = "relu";  // a name activation_function() knows
  std::int64_t context_length = 0, patch = 16;
  std::int64_t stride = 16;  // steps from the begin of a context patch to that of the next, at most `patch`
  std::int64_t max_output_patches = 1, time_scale = 0;
  std::vector<double> quantiles;  // ascending
  bool use_reg_token = false, use_arcsinh = false;

  std::int64_t inner() const { return num_heads * d_kv; }
  // Patches of `steps` of context, which is padded on the left to whole patches.
  std::int64_t patches_of(std::int64_t steps) const {
    return ((steps + patch - 1) / patch * patch - patch) / stride + 1;
  }
  // Most tokens of a series.
  std::int64_t most_tokens() const {
    return patches_of(context_length) + (use_reg_token ? 1 : 0) + max_output_patches;
  }
};

// Reads and checks a published config.json. Keys that the package has defaults for may be missing. Throws
// Error(data) naming the file and the field when it describes another kind of model or an impossible one.
Chronos2Config read_chronos2_config(const std::filesystem::path& path);

}  // namespace shelfcast::scorer
