// CUDA's errors as texts. Only inside the GPU module.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdio>

#include "parallel/gpu/gpu_module.h"

namespace shelfcast::parallel {

// Whether the call went well; else `problem` says why not.
inline bool check(cudaError_t status, ShelfcastGpuProblem* problem) {
  if (status == cudaSuccess) return true;
  // Forgets the error, which LibTorch's next launch would take for its own.
  cudaGetLastError();
  std::snprintf(problem->text, sizeof(problem->text), "%s: %s", cudaGetErrorName(status),
                cudaGetErrorString(status));
  return false;
}

}  // namespace shelfcast::parallel
