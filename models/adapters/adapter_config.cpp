#include "models/adapters/adapter_config.h"

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace shelfcast::models {

nlohmann::json to_json(const AdapterConfig& config, const std::string& base) {
  if (const auto* lora = std::get_if<LoraConfig>(&config)) return to_peft_json(*lora, base);
  if (const auto* bottleneck = std::get_if<BottleneckConfig>(&config)) return to_json(*bottleneck, base);
  return to_json(std::get<PrefixConfig>(config), base);
}

AdapterConfig adapter_config_from_json(const nlohmann::json& json) {
  const auto own = json.find("adapter_type");
  if (own == json.end()) return lora_config_from_peft_json(json);
  try {
    if (*own == "bottleneck") return bottleneck_config_from_json(json);
    if (*own == "prefix") return prefix_config_from_json(json);
  } catch (const nlohmann::json::exception& error) {
    throw data_error("adapter_config.json cannot be read", error.what(),
                     "take the one that was written with the adapter");
  }
  throw data_error(fmt::format("adapter_config.json has adapter_type {}", own->dump()),
                   "this program knows \"bottleneck\" and \"prefix\"",
                   "open it with the program that wrote it");
}

}  // namespace shelfcast::models
