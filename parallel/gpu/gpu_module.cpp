#include "parallel/gpu/gpu_module.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdio>

#ifdef SHELFCAST_HAS_NCCL
#include <nccl.h>
#endif

#define SHELFCAST_EXPORT __attribute__((visibility("default")))

namespace {

ShelfcastGpuDevice describe(int index) {
  ShelfcastGpuDevice device{};
  cudaDeviceProp properties{};
  device.free_bytes = -1;
  if (cudaGetDeviceProperties(&properties, index) != cudaSuccess) return device;
  std::snprintf(device.name, sizeof(device.name), "%.127s", properties.name);
  device.compute_major = properties.major;
  device.compute_minor = properties.minor;
  device.memory_bytes = static_cast<std::int64_t>(properties.totalGlobalMem);
  cudaDeviceGetPCIBusId(device.bus_id, sizeof(device.bus_id), index);
  std::size_t free_bytes = 0, total_bytes = 0;
  if (cudaSetDevice(index) == cudaSuccess && cudaMemGetInfo(&free_bytes, &total_bytes) == cudaSuccess)
    device.free_bytes = static_cast<std::int64_t>(free_bytes);
  return device;
}

}  // namespace

extern "C" {

SHELFCAST_EXPORT std::int32_t shelfcast_gpu_module_version() { return kGpuModuleVersion; }

SHELFCAST_EXPORT void shelfcast_gpu_versions(ShelfcastGpuVersions* versions) {
  *versions = {};
  cudaRuntimeGetVersion(&versions->runtime);
  cudaDriverGetVersion(&versions->driver);
#ifdef SHELFCAST_HAS_NCCL
  ncclGetVersion(&versions->nccl);
#endif
}

SHELFCAST_EXPORT std::int32_t shelfcast_gpu_devices(ShelfcastGpuDevice* devices, std::int32_t capacity,
                                                    char* problem, std::int32_t problem_size) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess && status != cudaErrorNoDevice) {
    std::snprintf(problem, static_cast<std::size_t>(problem_size), "%s", cudaGetErrorString(status));
    return -1;
  }
  for (int index = 0; index < std::min(count, capacity); ++index) devices[index] = describe(index);
  return count;
}
}
