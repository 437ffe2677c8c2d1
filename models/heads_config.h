// Whether the heads that a recipe asks for and the weights of their losses fit each other.
#pragma once

#include "models/config.h"

namespace shelfcast::models {

// Throws Error(input) naming the key: of a weight without its head, a head without a weight, or a value that
// makes no loss.
void validate_heads(const ModelConfig& model);

}  // namespace shelfcast::models
