// What prefixes are made of: the recipe's keys under `tune`, and the adapter_config.json beside them. Free of
// torch.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace shelfcast::models {

// Prefix tuning (Li and Liang, "Prefix-tuning: optimizing continuous prompts for generation", 2021): an
// attention with queries q also reads `length` trained keys and values of its own. What it reads there comes
// from a softmax of its own and is added, y + softmax(q K^T) V, with V starting at zero: the zero-initialised
// form of Zhang et al.
// ("LLaMA-Adapter", 2023), without which a fresh prefix would change what the model computes.
struct PrefixConfig {
  std::int64_t length = 8;
  double dropout = 0.0;                                     // of the probabilities over the prefix
  std::vector<std::string> attentions = {"SelfAttention"};  // short names of modules (module_matches)
  std::vector<std::string> modules_to_save = {};  // short names of modules trained whole, biases included

  // Throws Error(input) naming the field.
  void validate() const;
};

nlohmann::json to_json(const PrefixConfig& config, const std::string& base);
// Throws Error(input) of validate(), and nlohmann's exceptions for what is missing.
PrefixConfig prefix_config_from_json(const nlohmann::json& json);

}  // namespace shelfcast::models
