// What bottleneck adapters are made of: the recipe's keys under `tune`, and the adapter_config.json beside
// them. Free of torch.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace shelfcast::models {

// Behind a sublayer whose result is y stands y + U f(D y + d) + u, with D [size, width] and U [width, size]
// (Houlsby et al., "Parameter-efficient transfer learning for NLP", 2019). Behind attention and feed-forward
// it is theirs, behind feed-forward alone that of Pfeiffer et al. ("AdapterFusion", 2021).
struct BottleneckConfig {
  std::int64_t size = 16;
  std::string activation = "relu";  // f
  double dropout = 0.0;             // of what the adapter reads
  // The last matrices of sublayers, by short names (module_matches): o ends attention, wo feed-forward.
  std::vector<std::string> after = {"o", "wo"};
  std::vector<std::string> modules_to_save = {};  // short names of modules trained whole, biases included

  // Throws Error(input) naming the field.
  void validate() const;
};

nlohmann::json to_json(const BottleneckConfig& config, const std::string& base);
// Throws Error(input) of validate(), and nlohmann's exceptions for what is missing.
BottleneckConfig bottleneck_config_from_json(const nlohmann::json& json);

}  // namespace shelfcast::models
