#include "models/adapters/bottleneck.h"

#include <fmt/format.h>

#include <cmath>

#include "models/adapters/targets.h"

namespace shelfcast::models {
namespace {

constexpr std::string_view kWeight = ".weight";

// Modules whose result is their sublayer's: what stands behind another would not see it whole.
std::vector<std::string> sublayer_ends(const std::vector<Parameter>& parameters, const std::string& prefix) {
  std::vector<std::string> ends;
  for (const Parameter& parameter : parameters)
    if (const std::string module = module_of(parameter, prefix);
        parameter.slot && is_named(module, {"o", "wo"}))
      ends.push_back(module);
  return ends;
}

}  // namespace

std::vector<Parameter> attach_bottleneck(const std::vector<Parameter>& parameters, const std::string& prefix,
                                         const BottleneckConfig& config, ParameterMaker& make) {
  config.validate();
  require_modules("tune.after", config.after, sublayer_ends(parameters, prefix));
  require_modules_to_save(parameters, prefix, config.modules_to_save);
  const auto put = [&](const Parameter& matrix, const std::string&) {
    const std::string name = matrix.name.substr(0, matrix.name.size() - kWeight.size());
    const std::int64_t width = matrix.tensor.size(0);
    const double deviation = 1.0 / std::sqrt(3.0 * static_cast<double>(width));
    Bottleneck adapter;
    adapter.name = name;
    adapter.activation = activation_of(config.activation);
    adapter.down = make.normal(name + ".adapter_down.weight", {config.size, width}, deviation);
    adapter.down_bias = make.constant(name + ".adapter_down.bias", {config.size}, 0.0F);
    adapter.up = make.normal(name + ".adapter_up.weight", {width, config.size}, 0.0);
    adapter.up_bias = make.constant(name + ".adapter_up.bias", {width}, 0.0F);
    *matrix.slot = std::move(adapter);
  };
  return attach_to_matrices(parameters, prefix, config.after, config.modules_to_save, make, put);
}

}  // namespace shelfcast::models
