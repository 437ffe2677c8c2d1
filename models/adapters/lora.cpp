#include "models/adapters/lora.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <set>

#include "base/error.h"

namespace shelfcast::models {
namespace {

constexpr std::string_view kWeight = ".weight", kDown = ".lora_A.weight", kUp = ".lora_B.weight";

// "encoder.block.0.layer.0.SelfAttention.q" of a parameter's name; "" where it is none of the prefix' own.
std::string module_of(const Parameter& parameter, const std::string& prefix) {
  const std::string& name = parameter.name;
  if (!name.starts_with(prefix) || is_adapter(parameter)) return "";
  const std::size_t dot = name.rfind('.');
  return dot == std::string::npos || dot < prefix.size() ? ""
                                                         : name.substr(prefix.size(), dot - prefix.size());
}

// Whether `short_name` is `module` or what it lies in: "output_patch_embedding" holds
// "output_patch_embedding.hidden_layer".
bool holds_module(const std::string& short_name, std::string module) {
  while (true) {
    if (module_matches(module, short_name)) return true;
    const std::size_t dot = module.rfind('.');
    if (dot == std::string::npos) return false;
    module.resize(dot);
  }
}

[[noreturn]] void fail_unmatched(const char* field, const std::string& name,
                                 const std::vector<std::string>& modules) {
  std::set<std::string> ends;  // every way to name one of them
  std::set<std::string> last;
  for (const std::string& module : modules) {
    for (std::size_t from = 0; from != std::string::npos;) {
      ends.insert(module.substr(from));
      const std::size_t dot = module.find('.', from);
      from = dot == std::string::npos ? dot : dot + 1;
    }
    const std::string end = module.substr(module.rfind('.') + 1);
    if (std::isdigit(static_cast<unsigned char>(end.front())) == 0) last.insert(end);
  }
  const std::string near = nearest_name(name, {ends.begin(), ends.end()});
  throw input_error(fmt::format("{}: \"{}\" matches no tensor of the model", field, name),
                    near.empty() ? "" : fmt::format("nearest is \"{}\"", near),
                    fmt::format("name some of {}, or longer ends of their names", fmt::join(last, ", ")));
}

void check_targets(const std::vector<Parameter>& parameters, const std::string& prefix,
                   const LoraConfig& config) {
  std::vector<std::string> matrices, all;  // all: what holds them, too
  for (const Parameter& parameter : parameters) {
    const std::string module = module_of(parameter, prefix);
    if (module.empty()) continue;
    for (std::string part = module; !part.empty();
         part.resize(part.find('.') == std::string::npos ? 0 : part.rfind('.')))
      all.push_back(part);
    if (parameter.slot) matrices.push_back(module);
  }
  const auto require = [](const char* field, const std::vector<std::string>& names,
                          const std::vector<std::string>& among) {
    for (const std::string& name : names) {
      const bool found = std::any_of(among.begin(), among.end(),
                                     [&](const auto& module) { return module_matches(module, name); });
      if (!found) fail_unmatched(field, name, among);
    }
  };
  require("tune.targets", config.targets, matrices);
  require("tune.modules_to_save", config.modules_to_save, all);
}

bool is_target(const std::string& module, const LoraConfig& config) {
  return std::any_of(config.targets.begin(), config.targets.end(),
                     [&](const std::string& target) { return module_matches(module, target); });
}

}  // namespace

bool is_adapter(const Parameter& parameter) {
  return parameter.name.ends_with(kDown) || parameter.name.ends_with(kUp);
}

bool is_saved_module(const Parameter& parameter, const std::string& prefix, const LoraConfig& config) {
  const std::string module = module_of(parameter, prefix);
  return !module.empty() && std::any_of(config.modules_to_save.begin(), config.modules_to_save.end(),
                                        [&](const std::string& name) { return holds_module(name, module); });
}

std::vector<Parameter> attach_lora(const std::vector<Parameter>& parameters, const std::string& prefix,
                                   const LoraConfig& config, ParameterMaker& make) {
  config.validate();
  check_targets(parameters, prefix, config);
  std::vector<Parameter> all;
  for (const Parameter& parameter : parameters) {
    all.push_back(parameter);
    const std::string module = module_of(parameter, prefix);
    if (!parameter.slot || module.empty() || !is_target(module, config) ||
        is_saved_module(parameter, prefix, config))
      continue;
    const std::string name = parameter.name.substr(0, parameter.name.size() - kWeight.size());
    const std::int64_t rank = config.rank_of(module), out = parameter.tensor.size(0),
                       in = parameter.tensor.size(1);
    const double deviation = 1.0 / std::sqrt(3.0 * static_cast<double>(in));
    LowRank adapter;
    adapter.name = name;
    adapter.scale = config.scale_of(module);
    adapter.a = make.normal(fmt::format("{}{}", name, kDown), {rank, in}, deviation);
    adapter.b = make.normal(fmt::format("{}{}", name, kUp), {out, rank}, 0.0);
    for (Parameter& made : make.take()) all.push_back(std::move(made));
    *parameter.slot = std::move(adapter);
  }
  return all;
}

std::vector<Parameter> merge_lora(const std::vector<Parameter>& parameters) {
  const at::NoGradGuard no_grad;
  std::vector<Parameter> rest;
  for (const Parameter& parameter : parameters) {
    if (is_adapter(parameter)) continue;
    rest.push_back(parameter);
    if (!parameter.slot || !*parameter.slot) continue;
    const LowRank& adapter = **parameter.slot;
    at::Tensor values = parameter.tensor;
    values.addmm_(adapter.b, adapter.a, 1.0, adapter.scale);
    parameter.slot->reset();
  }
  return rest;
}

}  // namespace shelfcast::models
