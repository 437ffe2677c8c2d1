// ShelfcastGpuOperations::keep_mask.
#pragma once

#include "parallel/gpu/gpu_module.h"

namespace shelfcast::parallel {

std::int32_t start_keep_mask(const std::uint64_t* keys, std::int64_t draws, std::int64_t elements,
                             std::uint32_t threshold, std::uint8_t* keep, ShelfcastGpuProblem* problem);

}  // namespace shelfcast::parallel
