#include "models/adapters/lora_config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <regex>
#include <tuple>

#include "base/error.h"

namespace shelfcast::models {
namespace {

using nlohmann::json;

// As PEFT does it: a key is a regular expression for a module's name, or for what of it follows a dot.
bool key_matches(const std::string& module, const std::string& key) {
  try {
    return std::regex_match(module, std::regex("(.*\\.)?(" + key + ")"));
  } catch (const std::regex_error& error) {
    throw data_error(fmt::format("adapter_config.json: \"{}\" is not a regular expression", key),
                     error.what(), "write out the names of modules it means");
  }
}

// PEFT takes the first entry that matches, in an order that JSON does not promise.
template <typename T>
T pattern_or(const std::map<std::string, T>& pattern, const std::string& module, T otherwise) {
  const std::pair<const std::string, T>* found = nullptr;
  for (const auto& entry : pattern) {
    if (!key_matches(module, entry.first)) continue;
    if (found != nullptr && found->second != entry.second)
      throw data_error(fmt::format("adapter_config.json: \"{}\" and \"{}\" both mean {}", found->first,
                                   entry.first, module),
                       fmt::format("one says {}, the other {}", found->second, entry.second),
                       "make one of them narrower");
    found = &entry;
  }
  return found == nullptr ? otherwise : found->second;
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
  // Others ("pissa", "pissa_niter_4", "olora", "corda", "loftq") are differences from a base that was
  // changed.
  const json start = j.value("init_lora_weights", json(true));
  if (!start.is_boolean() && start != "gaussian" && start != "eva" && start != "orthogonal")
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
  // PEFT divides by the rank at the beginning, whatever is left of it.
  if (budget) return alpha / (static_cast<double>(rank) + 1e-5);
  const auto own_rank = static_cast<double>(rank_of(module));
  return pattern_or(alpha_pattern, module, alpha) / (rslora ? std::sqrt(own_rank) : own_rank);
}

void RankBudget::validate() const {
  for (const auto& [value, least, field] : {std::tuple(target, 1, "target"), std::tuple(warmup, 0, "warmup"),
                                            std::tuple(final, 0, "final"), std::tuple(every, 1, "every")})
    if (value < least)
      throw input_error(fmt::format("tune.budget.{} must be at least {}", field, least),
                        fmt::format("it is {}", value));
  for (const double beta : {beta1, beta2})
    if (!(beta > 0 && beta < 1))
      throw input_error("tune.budget.beta1 and beta2 must be between 0 and 1",
                        fmt::format("one is {}", beta));
  if (!(orthogonal >= 0))
    throw input_error("tune.budget.orthogonal must not be negative", fmt::format("it is {}", orthogonal));
  if (steps > 0 && warmup + final >= steps)
    throw input_error("tune.budget leaves no step to cut ranks in",
                      fmt::format("warmup {} and final {} are all of the {} steps", warmup, final, steps),
                      "lower them, or raise train.steps");
}

void LoraConfig::validate() const {
  if (budget) {
    budget->validate();
    if (budget->target > rank)
      throw input_error(fmt::format("tune.budget.target {} is above tune.rank {}", budget->target, rank),
                        "ranks are only ever cut", "lower the one or raise the other");
    if (rslora)
      throw input_error("tune.rslora is true, but tune.method is adalora",
                        "its scale is alpha / rank at the beginning", "set tune.rslora: false");
  }
  if (rank < 1) throw input_error("tune.rank must be at least 1", fmt::format("it is {}", rank));
  if (!(alpha > 0)) throw input_error("tune.alpha must be positive", fmt::format("it is {}", alpha));
  if (!(dropout >= 0 && dropout < 1))
    throw input_error("tune.dropout must be in [0, 1)", fmt::format("it is {}", dropout));
  if (targets.empty())
    throw input_error("tune.targets names no module", "an adapter changes at least one matrix",
                      "name some, such as [q, k, v, o]");
}

namespace {

// Which of the first ranks there still are, as PEFT wants to know it of modules that have fewer.
json kept_ranks(const LoraConfig& config) {
  json kept;
  for (const auto& [module, rank] : config.rank_pattern) {
    std::vector<bool> there(static_cast<std::size_t>(config.rank), false);
    std::fill_n(there.begin(), rank, true);
    kept[module + ".lora_E"] = there;
  }
  return kept;
}

json to_adalora_json(const LoraConfig& config, const std::string& base) {
  LoraConfig plain = config;
  plain.budget.reset();
  json j = to_peft_json(plain, base);
  const RankBudget& budget = *config.budget;
  j["peft_type"] = "ADALORA";
  j["r"] = 8;  // PEFT warns of any other value, and reads none
  j["init_r"] = config.rank;
  j["target_r"] = budget.target;
  j["tinit"] = budget.warmup;
  j["tfinal"] = budget.final;
  j["deltaT"] = budget.every;
  j["beta1"] = budget.beta1;
  j["beta2"] = budget.beta2;
  j["orth_reg_weight"] = budget.orthogonal;
  j["total_step"] = std::max<std::int64_t>(budget.steps, budget.warmup + budget.final + 1);
  j["rank_pattern"] = kept_ranks(config);
  return j;
}

RankBudget budget_from(const json& j) {
  RankBudget budget;
  j.at("target_r").get_to(budget.target);
  j.at("tinit").get_to(budget.warmup);
  j.at("tfinal").get_to(budget.final);
  j.at("deltaT").get_to(budget.every);
  j.at("beta1").get_to(budget.beta1);
  j.at("beta2").get_to(budget.beta2);
  j.at("orth_reg_weight").get_to(budget.orthogonal);
  j.at("total_step").get_to(budget.steps);
  return budget;
}

// module -> how many of its first ranks there still are.
std::map<std::string, std::int64_t> ranks_left(const json& j) {
  std::map<std::string, std::int64_t> left;
  for (const auto& [name, kept] : j.items()) {
    const auto flags = kept.get<std::vector<bool>>();
    left[name.substr(0, name.rfind(".lora_E"))] = std::count(flags.begin(), flags.end(), true);
  }
  return left;
}

}  // namespace

json to_peft_json(const LoraConfig& config, const std::string& base) {
  if (config.budget) return to_adalora_json(config, base);
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
    const bool adaptive = j.at("peft_type") == "ADALORA";
    if (!adaptive && j.at("peft_type") != "LORA")
      throw data_error(fmt::format("adapter_config.json has peft_type {}", j.at("peft_type").dump()),
                       "this program reads \"LORA\" and \"ADALORA\"", "name the folder of such an adapter");
    refuse_variants(j);
    LoraConfig config;
    config.rank = j.at(adaptive ? "init_r" : "r").get<std::int64_t>();
    if (adaptive) config.budget = budget_from(j);
    config.alpha = j.at("lora_alpha").get<double>();
    config.dropout = j.value("lora_dropout", 0.0);
    config.rslora = !adaptive && is_on(j, "use_rslora");  // AdaLoRA's scale does not heed it
    config.targets = names_of(j, "target_modules");
    config.modules_to_save = names_of(j, "modules_to_save");
    if (is_on(j, "rank_pattern") && adaptive) config.rank_pattern = ranks_left(j.at("rank_pattern"));
    if (is_on(j, "rank_pattern") && !adaptive) j.at("rank_pattern").get_to(config.rank_pattern);
    if (is_on(j, "alpha_pattern") && !adaptive) j.at("alpha_pattern").get_to(config.alpha_pattern);
    config.validate();
    return config;
  } catch (const json::exception& error) {
    throw data_error("adapter_config.json cannot be read", error.what(),
                     "write the adapter again with PEFT's save_pretrained");
  }
}

}  // namespace shelfcast::models
