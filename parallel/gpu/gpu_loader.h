// Opens the GPU module when it is wanted, and says plainly when it cannot.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "parallel/gpu/gpu_module.h"
#include "parallel/gpu/graph_module.h"

namespace shelfcast::parallel {

struct GpuDevice {
  std::string name, bus_id, uuid;
  std::int64_t memory_bytes = 0;
  std::int64_t free_bytes =
      0;  // -1: the device is listed but cannot be opened; 0 when it was not asked to be
  int compute_major = 0, compute_minor = 0;
};

// What this machine offers. Never throws for a machine without GPUs: then `devices` is empty and `problem`
// says why.
struct GpuReport {
  std::vector<GpuDevice> devices;
  std::string problem;                    // empty when devices can be used
  int runtime = 0, driver = 0, nccl = 0;  // versions as CUDA and NCCL number them; 0 = absent
  bool has_driver = false;                // of NVIDIA: the machine is meant to compute on GPUs
};

// Where libshelfcast_gpu.so is looked for: `lib` beside the folder of the running program.
std::filesystem::path gpu_module_path();

// Opens the module (once for the process) and asks it. Opens the device with the number `open` (over and
// over, when there are fewer), or with -1 each. May be called from any thread.
GpuReport inspect_gpus(int open = -1);

// The module's functions. Throws Error(input) when there is no module or it does not open.
const ShelfcastGpuOperations& gpu_operations();

// The functions of the second module, opened at the first call, after open_torch_cuda(). Throws Error(input)
// as above.
const ShelfcastGraphOperations& graph_operations();

// Makes LibTorch compute on CUDA devices: opens its CUDA library, once for the process, before the first
// backward of any device: LibTorch looks once for what there is. Throws Error(input) with the loader's words
// when that is missing or does not open.
void open_torch_cuda();

}  // namespace shelfcast::parallel
