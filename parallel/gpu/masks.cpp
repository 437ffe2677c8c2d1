#include "parallel/gpu/masks.h"

#include <cuda_runtime_api.h>

#include <algorithm>

#include "parallel/gpu/cuda_check.h"
#include "parallel/gpu/keep_mask.h"
#include "parallel/gpu/work_stream.h"

namespace shelfcast::parallel {

extern const char kKeepMaskPtx[];  // made of keep_mask.cu by compile_kernel_main.cpp

namespace {

// The kernel for all devices, or why there is none.
struct Loaded {
  cudaKernel_t kernel = nullptr;
  ShelfcastGpuProblem problem{};
};

Loaded load() {
  Loaded loaded;
  cudaLibrary_t library = nullptr;  // stays until the process ends
  if (check(cudaLibraryLoadData(&library, kKeepMaskPtx, nullptr, nullptr, 0, nullptr, nullptr, 0),
            &loaded.problem))
    check(cudaLibraryGetKernel(&loaded.kernel, library, "keep_mask"), &loaded.problem);
  return loaded;
}

}  // namespace

std::int32_t start_keep_mask(const std::uint64_t* keys, std::int64_t draws, std::int64_t elements,
                             std::uint32_t threshold, std::uint8_t* keep, ShelfcastGpuProblem* problem) {
  static const Loaded loaded = load();
  if (loaded.kernel == nullptr) {
    *problem = loaded.problem;
    return kGpuFailed;
  }
  if (draws == 0 || elements == 0) return kGpuDone;
  constexpr std::int64_t kThreads = 256, kMostBlocks = 65'536;
  const std::int64_t wanted = (draws * keep_mask_blocks(elements) + kThreads - 1) / kThreads;
  void* arguments[] = {&keys, &draws, &elements, &threshold, &keep};
  const cudaError_t status =
      cudaLaunchKernel(loaded.kernel, dim3(static_cast<unsigned>(std::min(wanted, kMostBlocks))),
                       dim3(static_cast<unsigned>(kThreads)), arguments, 0, work_stream);
  return check(status, problem) ? kGpuDone : kGpuFailed;
}

}  // namespace shelfcast::parallel
