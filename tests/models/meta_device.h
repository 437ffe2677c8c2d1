// LibTorch's meta device computes shapes only, and refuses what would mix it with host memory: a stand-in for
// GPUs on machines without one. Here it takes copies from the host, which must not make anyone wait, and
// gives zeros to it.
#pragma once

#include <vector>

#include "models/blocks.h"

namespace shelfcast::models {

// In the place of move_to(): set_data(), by which parameters go to a GPU, knows no meta device.
void put_on_meta(const std::vector<Parameter>& parameters);

}  // namespace shelfcast::models
