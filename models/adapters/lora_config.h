// What a low-rank adapter is made of: the recipe's keys under `tune`, and PEFT's adapter_config.json. Free of
// torch.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace shelfcast::models {

// A module is a weight matrix by the name it is published with, less ".weight":
// "encoder.block.0.layer.0.SelfAttention.q". A short name means every module that it is or that ends in
// "." + it, as in PEFT.
bool module_matches(const std::string& module, const std::string& short_name);

// AdaLoRA (Zhang et al., "Adaptive budget allocation for parameter-efficient fine-tuning", 2023): ranks are
// cut while training, by importance, until they are `target` in the mean.
struct RankBudget {
  std::int64_t target = 4;
  // Steps without a cut at the beginning and at the end, and between two cuts: tinit, tfinal, deltaT.
  std::int64_t warmup = 0, final = 0, every = 1;
  double beta1 = 0.85, beta2 = 0.85;  // of the averages of sensitivity and of its uncertainty
  double orthogonal = 0.5;            // weight of the mean of |A A^T - I| and |B^T B - I| in the loss
  std::int64_t steps = 0;             // of the whole training

  // Throws Error(input) naming the field.
  void validate() const;
};

// LoRA (Hu et al., 2022): a frozen matrix W [out, in] acts as W + scale * B A; with a budget, as W + scale *
// B diag(E) A, where rank is that at the beginning.
struct LoraConfig {
  std::int64_t rank = 8;
  double alpha = 16.0;   // scale = alpha / rank
  bool rslora = false;   // scale = alpha / sqrt(rank) (Kalajdzievski, 2023)
  double dropout = 0.0;  // of what the adapter reads
  std::vector<std::string> targets = {"q", "k", "v", "o"};  // short names of modules
  std::vector<std::string> modules_to_save = {};  // short names of modules trained whole, biases included
  // Of PEFT's files alone: modules with their own rank or alpha, by regular expressions for their names or
  // for what of them follows a dot.
  std::map<std::string, std::int64_t> rank_pattern = {};
  std::map<std::string, double> alpha_pattern = {};
  std::optional<RankBudget> budget = {};  // AdaLoRA

  // Both throw Error(data) where two entries of a pattern mean a module and say different things.
  std::int64_t rank_of(const std::string& module) const;
  double scale_of(const std::string& module) const;
  // Throws Error(input) naming the field.
  void validate() const;
};

// adapter_config.json of the PEFT package, `base` being its base_model_name_or_path.
nlohmann::json to_peft_json(const LoraConfig& config, const std::string& base);
// Of LoRA or AdaLoRA. Throws Error(data) for another kind of adapter and for variants that change what it
// computes (DoRA, trained biases).
LoraConfig lora_config_from_peft_json(const nlohmann::json& json);

}  // namespace shelfcast::models
