#include "parallel/gpu/gpu_module.h"

#include <cuda_runtime_api.h>
#include <nccl.h>

#include <algorithm>
#include <cstdio>

#include "parallel/gpu/cuda_check.h"
#include "parallel/gpu/masks.h"
#include "parallel/gpu/nccl_group.h"
#include "parallel/gpu/work_stream.h"

namespace shelfcast::parallel {
namespace {

void write_versions(ShelfcastGpuVersions* versions) {
  *versions = {};
  cudaRuntimeGetVersion(&versions->runtime);
  cudaDriverGetVersion(&versions->driver);
  ncclGetVersion(&versions->nccl);
}

ShelfcastGpuDevice describe(int index, bool open) {
  ShelfcastGpuDevice device{};
  cudaDeviceProp properties{};
  device.free_bytes = -1;
  if (cudaGetDeviceProperties(&properties, index) != cudaSuccess) return device;
  std::snprintf(device.name, sizeof(device.name), "%.127s", properties.name);
  int length = std::snprintf(device.uuid, sizeof(device.uuid), "GPU-");
  for (const char byte : properties.uuid.bytes)
    length += std::snprintf(device.uuid + length, sizeof(device.uuid) - static_cast<std::size_t>(length),
                            "%02x", static_cast<unsigned>(static_cast<unsigned char>(byte)));
  device.compute_major = properties.major;
  device.compute_minor = properties.minor;
  device.memory_bytes = static_cast<std::int64_t>(properties.totalGlobalMem);
  cudaDeviceGetPCIBusId(device.bus_id, sizeof(device.bus_id), index);
  std::size_t free_bytes = 0, total_bytes = 0;
  if (!open)
    device.free_bytes = 0;
  else if (cudaSetDevice(index) == cudaSuccess && cudaMemGetInfo(&free_bytes, &total_bytes) == cudaSuccess)
    device.free_bytes = static_cast<std::int64_t>(free_bytes);
  return device;
}

std::int32_t list_devices(ShelfcastGpuDevice* devices, std::int32_t capacity, std::int32_t open,
                          ShelfcastGpuProblem* problem) {
  int count = 0, current = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaErrorNoDevice) return 0;
  if (!check(status, problem)) return kGpuFailed;
  const bool chosen = cudaGetDevice(&current) == cudaSuccess;
  for (int index = 0; index < std::min(count, capacity); ++index)
    devices[index] = describe(index, open < 0 || index == open % count);
  // The one that was opened stays current: since CUDA 12 going back would open device 0 for every rank.
  if (chosen && open < 0) cudaSetDevice(current);
  return count;
}

void work_on(void* stream) { work_stream = static_cast<cudaStream_t>(stream); }

void* allocate(std::int32_t device, std::int64_t bytes, ShelfcastGpuProblem* problem) {
  void* memory = nullptr;
  const bool done = check(cudaSetDevice(device), problem) &&
                    check(cudaMalloc(&memory, static_cast<std::size_t>(bytes)), problem);
  return done ? memory : nullptr;
}

void release(void* memory) { cudaFree(memory); }

std::int32_t is_device(const void* memory) {
  cudaPointerAttributes attributes{};
  if (cudaPointerGetAttributes(&attributes, memory) != cudaSuccess) {
    cudaGetLastError();  // forgets the error: later calls would report it
    return 0;
  }
  return attributes.type == cudaMemoryTypeDevice ? 1 : 0;
}

std::int32_t copy(void* to, const void* from, std::int64_t bytes, ShelfcastGpuProblem* problem) {
  const cudaStream_t stream = work_stream;
  const bool done =
      check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDefault, stream), problem) &&
      check(cudaStreamSynchronize(stream), problem);
  return done ? kGpuDone : kGpuFailed;
}

constexpr ShelfcastGpuOperations kOperations = {
    .versions = write_versions,
    .devices = list_devices,
    .work_on = work_on,
    .allocate = allocate,
    .release = release,
    .is_device = is_device,
    .copy = copy,
    .keep_mask = start_keep_mask,
    .nccl_id = nccl::make_id,
    .nccl_join = nccl::join,
    .nccl_split = nccl::split,
    .nccl_state = nccl::state,
    .nccl_start = nccl::start,
    .nccl_mark = nccl::mark,
    .nccl_passed = nccl::passed,
    .nccl_leave = nccl::leave,
};

}  // namespace
}  // namespace shelfcast::parallel

#define SHELFCAST_EXPORT __attribute__((visibility("default")))

extern "C" {
SHELFCAST_EXPORT std::int32_t shelfcast_gpu_module_version() { return kGpuModuleVersion; }
SHELFCAST_EXPORT const ShelfcastGpuOperations* shelfcast_gpu_operations() {
  return &shelfcast::parallel::kOperations;
}
}
