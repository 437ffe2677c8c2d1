#include "models/adapters/adapter.h"

#include "models/adapters/bottleneck.h"
#include "models/adapters/lora.h"

namespace shelfcast::models {

std::vector<Parameter> attach_adapter(const std::vector<Parameter>& parameters, const std::string& prefix,
                                      const AdapterConfig& config, ParameterMaker& make) {
  if (const auto* lora = std::get_if<LoraConfig>(&config))
    return attach_lora(parameters, prefix, *lora, make);
  return attach_bottleneck(parameters, prefix, std::get<BottleneckConfig>(config), make);
}

}  // namespace shelfcast::models
