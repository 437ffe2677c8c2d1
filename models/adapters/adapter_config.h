// What an adapter of any kind is made of, and the adapter_config.json beside its tensors. Free of torch.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <variant>
#include <vector>

#include "models/adapters/bottleneck_config.h"
#include "models/adapters/lora_config.h"
#include "models/adapters/prefix_config.h"

namespace shelfcast::models {

using AdapterConfig = std::variant<LoraConfig, BottleneckConfig, PrefixConfig>;

// What all kinds have.
inline double dropout_of(const AdapterConfig& config) {
  return std::visit([](const auto& own) { return own.dropout; }, config);
}
// Short names of the modules that are trained whole beside the adapter.
inline const std::vector<std::string>& modules_to_save_of(const AdapterConfig& config) {
  return std::visit(
      [](const auto& own) -> const auto& { return own.modules_to_save; }, config);
}
// Whether the base's own weights can do what the adapter does.
inline bool can_be_merged(const AdapterConfig& config) { return std::holds_alternative<LoraConfig>(config); }

// `base`: where the base model lies. LoRA in PEFT's form, kinds that PEFT does not know in our own
// ("adapter_type" in the place of "peft_type").
nlohmann::json to_json(const AdapterConfig& config, const std::string& base);
// Throws Error(data), by name for kinds and variants that this program does not know.
AdapterConfig adapter_config_from_json(const nlohmann::json& json);

}  // namespace shelfcast::models
