// The stream of the program's own work. Only inside the GPU module.
#pragma once

#include <cuda_runtime_api.h>

#include <atomic>

namespace shelfcast::parallel {

// CUDA's default stream as long as no other was chosen. One for the process: LibTorch's is the thread's, so
// that only the thread that trains, and backward for it, may compute on the device.
inline std::atomic<cudaStream_t> work_stream = cudaStreamLegacy;

}  // namespace shelfcast::parallel
