// The C interface of the second GPU module (libshelfcast_graphs.so): CUDA graphs of what LibTorch computes. A
// module of its own because it needs LibTorch's CUDA library, which the first must open without. The rules of
// gpu_module.h hold.
#pragma once

#include <cstdint>

#include "parallel/gpu/gpu_module.h"

extern "C" {

inline constexpr std::int32_t kGraphModuleVersion = 1;

struct ShelfcastGraphOperations {
  // From now on what this thread, and backward for it, gives to the device on LibTorch's current stream,
  // which must not be the default one, is taken down and not computed. Waits for the device and gives unused
  // memory back to it first. null: it failed.
  void* (*begin)(ShelfcastGpuProblem* problem);
  // The end of that; after a failure the graph can only be released.
  std::int32_t (*end)(void* graph, ShelfcastGpuProblem* problem);
  // Gives the whole to the device once more, on LibTorch's current stream.
  std::int32_t (*replay)(void* graph, ShelfcastGpuProblem* problem);
  // With the memory that its work takes.
  void (*release)(void* graph);
};

std::int32_t shelfcast_graph_module_version();
const ShelfcastGraphOperations* shelfcast_graph_operations();
}
