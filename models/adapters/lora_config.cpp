#include "models/adapters/lora_config.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace shelfcast::models {
namespace {

using nlohmann::json;

template <typename T>
T pattern_or(const std::map<std::string, T>& pattern, const std::string& module, T otherwise) {
  for (const auto& [name, value] : pattern)
    if (module_matches(module, name)) return value;
  return otherwise;
}

bool is_on(const json& j, const char* key) {
  const auto found = j.find(key);
  if (found == j.end() || found->is_null()) return false;
  if (found->is_boolean()) return found->get<bool>();
  return !(found->is_structured() && found->empty());
}

// A list of names, or one; PEFT stores no list as null.
std::vector<std::string> names_of(const json& j, const char* key) {
  const auto found = j.find(key);
  if (found == j.end() || found->is_null()) return {};
  if (found->is_string()) return {found->get<std::string>()};
  return found->get<std::vector<std::string>>();
}

void refuse_variants(const json& j) {
  for (const char* key : {"use_dora", "lora_bias", "use_qalora", "fan_in_fan_out", "alora_invocation_tokens",
                          "trainable_token_indices", "target_parameters", "layer_replication"})
    if (is_on(j, key))
      throw data_error(fmt::format("adapter_config.json has {}: {}", key, j.at(key).dump()),
                       "this program knows plain LoRA and rsLoRA",
                       "train the adapter without it, or merge it into its base with the PEFT package");
  const json start = j.value("init_lora_weights", json(true));
  if (start == "pissa" || start == "olora" || start == "corda" || start == "loftq")
    throw data_error(fmt::format("adapter_config.json has init_lora_weights: {}", start.dump()),
                     "it belongs to a base whose weights were changed when the adapter was made",
                     "save it with PEFT's path_initial_model_for_weight_conversion, or train it otherwise");
  if (j.value("bias", std::string("none")) != "none")
    throw data_error(fmt::format("adapter_config.json has bias: {}", j.at("bias").dump()),
                     "adapters leave the base's biases as they are", "train it with bias: none");
}

}  // namespace

bool module_matches(const std::string& module, const std::string& short_name) {
  return module == short_name || module.ends_with("." + short_name);
}

std::int64_t LoraConfig::rank_of(const std::string& module) const {
  return pattern_or(rank_pattern, module, rank);
}

double LoraConfig::scale_of(const std::string& module) const {
  const auto own_rank = static_cast<double>(rank_of(module));
  return pattern_or(alpha_pattern, module, alpha) / (rslora ? std::sqrt(own_rank) : own_rank);
}

void LoraConfig::validate() const {
  if (rank < 1) throw input_error("tune.rank must be at least 1", fmt::format("it is {}", rank));
  if (!(alpha > 0)) throw input_error("tune.alpha must be positive", fmt::format("it is {}", alpha));
  if (!(dropout >= 0 && dropout < 1))
    throw input_error("tune.dropout must be in [0, 1)", fmt::format("it is {}", dropout));
  if (targets.empty())
    throw input_error("tune.targets names no module", "an adapter changes at least one matrix",
                      "name some, such as [q, k, v, o]");
}

json to_peft_json(const LoraConfig& config, const std::string& base) {
  const auto list_or_null = [](const std::vector<std::string>& names) {
    return names.empty() ? json() : json(names);
  };
  return {{"peft_type", "LORA"},
          {"task_type", nullptr},
          {"base_model_name_or_path", base},
          {"inference_mode", true},
          {"r", config.rank},
          {"lora_alpha", config.alpha},
          {"lora_dropout", config.dropout},
          {"use_rslora", config.rslora},
          {"target_modules", config.targets},
          {"modules_to_save", list_or_null(config.modules_to_save)},
          {"rank_pattern", config.rank_pattern},
          {"alpha_pattern", config.alpha_pattern},
          {"bias", "none"},
          {"fan_in_fan_out", false},
          {"init_lora_weights", true}};
}

LoraConfig lora_config_from_peft_json(const json& j) {
  try {
    if (j.at("peft_type") != "LORA")
      throw data_error(fmt::format("adapter_config.json has peft_type {}", j.at("peft_type").dump()),
                       "this program reads \"LORA\"", "name the folder of a LoRA adapter");
    refuse_variants(j);
    LoraConfig config;
    config.rank = j.at("r").get<std::int64_t>();
    config.alpha = j.at("lora_alpha").get<double>();
    config.dropout = j.value("lora_dropout", 0.0);
    config.rslora = is_on(j, "use_rslora");
    config.targets = names_of(j, "target_modules");
    config.modules_to_save = names_of(j, "modules_to_save");
    if (is_on(j, "rank_pattern")) j.at("rank_pattern").get_to(config.rank_pattern);
    if (is_on(j, "alpha_pattern")) j.at("alpha_pattern").get_to(config.alpha_pattern);
    config.validate();
    return config;
  } catch (const json::exception& error) {
    throw data_error("adapter_config.json cannot be read", error.what(),
                     "write the adapter again with PEFT's save_pretrained");
  }
}

}  // namespace shelfcast::models
