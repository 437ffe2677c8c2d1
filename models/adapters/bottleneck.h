// Bottleneck adapters behind a model's sublayers.
#pragma once

#include <string>
#include <vector>

#include "models/adapters/bottleneck_config.h"
#include "models/blocks.h"

namespace shelfcast::models {

// Puts an adapter behind every last matrix of a sublayer that config.after names (names are read without
// `prefix`, those without it are left alone) and returns the parameters with the adapters' behind these
// matrices, named after them: "NAME.adapter_down.weight" [size, width], "NAME.adapter_down.bias",
// "NAME.adapter_up.weight" [width, size], "NAME.adapter_up.bias". All of `up` starts at zero, so that the
// model computes what it did; `down` is drawn by `make`. Throws Error(input) for a name that is not the last
// matrix of a sublayer, with the nearest, before anything is changed.
std::vector<Parameter> attach_bottleneck(const std::vector<Parameter>& parameters, const std::string& prefix,
                                         const BottleneckConfig& config, ParameterMaker& make);

}  // namespace shelfcast::models
