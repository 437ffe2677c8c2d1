#include "models/adapters/prefix.h"

#include <string_view>

#include "models/adapters/targets.h"

namespace shelfcast::models {
namespace {

constexpr std::string_view kQuery = ".q", kQueryWeight = ".q.weight";

// Modules that have queries.
std::vector<std::string> attentions(const std::vector<Parameter>& parameters, const std::string& prefix) {
  std::vector<std::string> names;
  for (const Parameter& parameter : parameters)
    if (const std::string module = module_of(parameter, prefix); parameter.slot && module.ends_with(kQuery))
      names.push_back(module.substr(0, module.size() - kQuery.size()));
  return names;
}

}  // namespace

std::vector<Parameter> attach_prefix(const std::vector<Parameter>& parameters, const std::string& prefix,
                                     const PrefixConfig& config, ParameterMaker& make) {
  config.validate();
  require_modules("tune.attentions", config.attentions, attentions(parameters, prefix));
  require_modules_to_save(parameters, prefix, config.modules_to_save);
  std::vector<std::string> queries;
  for (const std::string& name : config.attentions) queries.push_back(name + std::string(kQuery));
  const auto put = [&](const Parameter& matrix, const std::string&) {
    const std::string name = matrix.name.substr(0, matrix.name.size() - kQueryWeight.size());
    const std::int64_t inner = matrix.tensor.size(0);
    Prefix own;
    own.name = name;
    // As large as T5 makes the keys of tokens.
    own.key = make.normal(name + ".prefix_key", {config.length, inner}, 1.0);
    own.value = make.normal(name + ".prefix_value", {config.length, inner}, 0.0);
    *matrix.slot = std::move(own);
  };
  return attach_to_matrices(parameters, prefix, queries, config.modules_to_save, make, put);
}

}  // namespace shelfcast::models
