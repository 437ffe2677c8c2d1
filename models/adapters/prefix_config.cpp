#include "models/adapters/prefix_config.h"

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace shelfcast::models {

using nlohmann::json;

void PrefixConfig::validate() const {
  if (length < 1) throw input_error("tune.prefix must be at least 1", fmt::format("it is {}", length));
  if (!(dropout >= 0 && dropout < 1))
    throw input_error("tune.dropout must be in [0, 1)", fmt::format("it is {}", dropout));
  if (attentions.empty())
    throw input_error("tune.attentions names no module", "a prefix is read by at least one attention",
                      "name some, such as [SelfAttention]");
}

json to_json(const PrefixConfig& config, const std::string& base) {
  return {{"adapter_type", "prefix"},        {"base_model_name_or_path", base},
          {"length", config.length},         {"dropout", config.dropout},
          {"attentions", config.attentions}, {"modules_to_save", config.modules_to_save}};
}

PrefixConfig prefix_config_from_json(const json& j) {
  PrefixConfig config;
  j.at("length").get_to(config.length);
  j.at("dropout").get_to(config.dropout);
  j.at("attentions").get_to(config.attentions);
  j.at("modules_to_save").get_to(config.modules_to_save);
  config.validate();
  return config;
}

}  // namespace shelfcast::models
