// The C interface of the GPU module (libshelfcast_gpu.so), which programs open at run time.
//
// C, because the two sides may be built by different compilers; every struct starts with nothing hidden and
// grows only together with kGpuModuleVersion, which the loader compares before it calls anything else.
#pragma once

#include <cstdint>

extern "C" {

inline constexpr std::int32_t kGpuModuleVersion = 1;

// One CUDA device. Texts are NUL-terminated.
struct ShelfcastGpuDevice {
  char name[128];
  char bus_id[32];            // "0000:65:00.0": tells two ranks on one device
  std::int64_t memory_bytes;  // of the whole device
  std::int64_t free_bytes;    // now; -1 when the device cannot be opened
  std::int32_t compute_major, compute_minor;
};

// What the module was built with and what it meets here. Versions are 0 when absent, else as CUDA and NCCL
// number them (13000 = CUDA 13.0, 22809 = NCCL 2.28.9).
struct ShelfcastGpuVersions {
  std::int32_t runtime, driver, nccl;
};

// The version of this interface the module was built with.
std::int32_t shelfcast_gpu_module_version();
void shelfcast_gpu_versions(ShelfcastGpuVersions* versions);
// Writes up to `capacity` devices and returns how many there are; a negative return means that CUDA cannot be
// used and `problem` (`problem_size` bytes, NUL-terminated) says why. Opens a context on each device.
// Thread-safe.
std::int32_t shelfcast_gpu_devices(ShelfcastGpuDevice* devices, std::int32_t capacity, char* problem,
                                   std::int32_t problem_size);
}
