// Tensors in the memory in which a communicator sums fastest.
#pragma once

#include <torch/types.h>

#include <string_view>

#include "parallel/communicator.h"

namespace shelfcast::parallel {

// Zeros: [elements], to be summed over the ranks of `communicator`. Null: of one rank. On devices ordinary
// memory. Collective.
at::Tensor summed_tensor(std::int64_t elements, const at::TensorOptions& options, Communicator* communicator,
                         std::string_view label);

}  // namespace shelfcast::parallel
