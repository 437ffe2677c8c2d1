#include "models/adapters/lora.h"

#include <cmath>

#include "base/error.h"
#include "models/adapters/targets.h"

namespace shelfcast::models {
namespace {

constexpr std::string_view kWeight = ".weight";
constexpr double kAdaptiveDeviation = 0.02;  // of A and B with a budget

void check_targets(const std::vector<Parameter>& parameters, const std::string& prefix,
                   const LoraConfig& config) {
  std::vector<std::string> matrices;
  for (const Parameter& parameter : parameters)
    if (const std::string module = module_of(parameter, prefix); parameter.slot && !module.empty())
      matrices.push_back(module);
  require_modules("tune.targets", config.targets, matrices);
  require_modules_to_save(parameters, prefix, config.modules_to_save);
}

}  // namespace

std::vector<Parameter> attach_lora(const std::vector<Parameter>& parameters, const std::string& prefix,
                                   const LoraConfig& config, ParameterMaker& make) {
  config.validate();
  check_targets(parameters, prefix, config);
  const auto put = [&](const Parameter& matrix, const std::string& module) {
    const std::string name = matrix.name.substr(0, matrix.name.size() - kWeight.size());
    const std::int64_t rank = config.rank_of(module), out = matrix.tensor.size(0), in = matrix.tensor.size(1);
    LowRank adapter;
    adapter.name = name;
    adapter.scale = config.scale_of(module);
    if (config.budget) {
      adapter.a = make.normal(name + ".lora_A", {rank, in}, kAdaptiveDeviation);
      adapter.e = make.normal(name + ".lora_E", {rank, 1}, 0.0);
      adapter.b = make.normal(name + ".lora_B", {out, rank}, kAdaptiveDeviation);
    } else {
      const double deviation = 1.0 / std::sqrt(3.0 * static_cast<double>(in));
      adapter.a = make.normal(name + ".lora_A.weight", {rank, in}, deviation);
      adapter.b = make.normal(name + ".lora_B.weight", {out, rank}, 0.0);
    }
    *matrix.slot = std::move(adapter);
  };
  return attach_to_matrices(parameters, prefix, config.targets, config.modules_to_save, make, put);
}

std::vector<Parameter> merge_lora(const std::vector<Parameter>& parameters) {
  const at::NoGradGuard no_grad;
  std::vector<Parameter> rest;
  for (const Parameter& parameter : parameters) {
    if (parameter.adapter) continue;
    rest.push_back(parameter);
    const auto* adapter = parameter.slot ? std::get_if<LowRank>(parameter.slot.get()) : nullptr;
    if (adapter == nullptr) continue;
    at::Tensor values = parameter.tensor;
    values.addmm_(adapter->b, adapter->down(), 1.0, adapter->scale);
    *parameter.slot = std::monostate();
  }
  return rest;
}

}  // namespace shelfcast::models
