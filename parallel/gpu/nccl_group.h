// The NCCL calls behind the table of the GPU module (gpu_module.h says what each does). Nothing here waits.
#pragma once

#include "parallel/gpu/gpu_module.h"

namespace shelfcast::parallel::nccl {

std::int32_t make_id(ShelfcastNcclId* id, ShelfcastGpuProblem* problem);
void* join(const ShelfcastNcclId* id, std::int32_t rank, std::int32_t size, std::int32_t device,
           ShelfcastGpuProblem* problem);
void* split(void* group, std::int32_t color, std::int32_t key, ShelfcastGpuProblem* problem);
std::int32_t state(void* group, ShelfcastGpuProblem* problem);
std::int32_t start(void* group, const ShelfcastNcclCall* call, ShelfcastGpuProblem* problem);
std::int64_t mark(void* group, ShelfcastGpuProblem* problem);
std::int32_t passed(void* group, std::int64_t mark, ShelfcastGpuProblem* problem);
void leave(void* group, std::int32_t abort);

}  // namespace shelfcast::parallel::nccl
