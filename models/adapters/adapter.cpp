#include "models/adapters/adapter.h"

#include "models/adapters/bottleneck.h"
#include "models/adapters/lora.h"
#include "models/adapters/prefix.h"

namespace shelfcast::models {

std::vector<Parameter> attach_adapter(const std::vector<Parameter>& parameters, const std::string& prefix,
                                      const AdapterConfig& config, ParameterMaker& make) {
  if (const auto* lora = std::get_if<LoraConfig>(&config))
    return attach_lora(parameters, prefix, *lora, make);
  if (const auto* bottleneck = std::get_if<BottleneckConfig>(&config))
    return attach_bottleneck(parameters, prefix, *bottleneck, make);
  return attach_prefix(parameters, prefix, std::get<PrefixConfig>(config), make);
}

}  // namespace shelfcast::models
