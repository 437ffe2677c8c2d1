// Prefixes of a tower's attentions.
#pragma once

#include <string>
#include <vector>

#include "models/adapters/prefix_config.h"
#include "models/blocks.h"

namespace shelfcast::models {

// Gives every attention that config.attentions names (names are read without `prefix`, those without it are
// left alone) keys and values of its own and returns the parameters with these behind the attention's q:
// "ATTENTION.prefix_key" and "ATTENTION.prefix_value" [length, inner]. Values start at zero, so that the
// model computes what it did; keys are drawn by `make`. Throws Error(input) for a name that is no
// attention's, with the nearest, before anything is changed.
std::vector<Parameter> attach_prefix(const std::vector<Parameter>& parameters, const std::string& prefix,
                                     const PrefixConfig& config, ParameterMaker& make);

}  // namespace shelfcast::models
