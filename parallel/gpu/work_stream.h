// The stream of the program's own work. Only inside the GPU module.
#pragma once

#include <cuda_runtime_api.h>

#include <atomic>

namespace shelfcast::parallel {

// CUDA's default stream as long as no other was chosen.
inline std::atomic<cudaStream_t> work_stream = cudaStreamLegacy;

}  // namespace shelfcast::parallel
