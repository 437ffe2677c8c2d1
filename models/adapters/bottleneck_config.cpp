#include "models/adapters/bottleneck_config.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "models/activation.h"

namespace shelfcast::models {

using nlohmann::json;

void BottleneckConfig::validate() const {
  if (size < 1) throw input_error("tune.size must be at least 1", fmt::format("it is {}", size));
  if (!(dropout >= 0 && dropout < 1))
    throw input_error("tune.dropout must be in [0, 1)", fmt::format("it is {}", dropout));
  if (after.empty())
    throw input_error("tune.after names no module", "an adapter stands behind at least one sublayer",
                      "name some, such as [o, wo]");
  try {
    activation_of(activation);
  } catch (const Error& error) {
    throw input_error(fmt::format("tune.activation: {}", error.problem()), error.why(), error.advice());
  }
}

json to_json(const BottleneckConfig& config, const std::string& base) {
  return {{"adapter_type", "bottleneck"},
          {"base_model_name_or_path", base},
          {"size", config.size},
          {"activation", config.activation},
          {"dropout", config.dropout},
          {"after", config.after},
          {"modules_to_save", config.modules_to_save}};
}

BottleneckConfig bottleneck_config_from_json(const json& j) {
  BottleneckConfig config;
  j.at("size").get_to(config.size);
  j.at("activation").get_to(config.activation);
  j.at("dropout").get_to(config.dropout);
  j.at("after").get_to(config.after);
  j.at("modules_to_save").get_to(config.modules_to_save);
  config.validate();
  return config;
}

}  // namespace shelfcast::models
