#include "parallel/gpu/graph_module.h"

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>

#include <cstdio>
#include <exception>
#include <memory>

namespace shelfcast::parallel {
namespace {

using at::cuda::CUDAGraph;

// What `work` returns, or `failed` with LibTorch's words in `problem`.
template <typename Work, typename Result>
Result guarded(ShelfcastGpuProblem* problem, Result failed, Work work) {
  try {
    return work();
  } catch (const c10::Error& error) {
    std::snprintf(problem->text, sizeof(problem->text), "%s", error.what_without_backtrace());
  } catch (const std::exception& error) {
    std::snprintf(problem->text, sizeof(problem->text), "%s", error.what());
  }
  return failed;
}

CUDAGraph& graph_of(void* graph) { return *static_cast<CUDAGraph*>(graph); }

void* begin(ShelfcastGpuProblem* problem) {
  return guarded(problem, static_cast<void*>(nullptr), []() -> void* {
    auto graph = std::make_unique<CUDAGraph>();
    c10::cuda::device_synchronize();
    // A graph has memory of its own: what earlier work had would stand idle beside it.
    c10::cuda::CUDACachingAllocator::emptyCache();
    // Other threads (checkpoints, NCCL's) go on allocating and asking meanwhile.
    graph->capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
    return graph.release();
  });
}

std::int32_t end(void* graph, ShelfcastGpuProblem* problem) {
  return guarded(problem, std::int32_t{kGpuFailed}, [graph] {
    graph_of(graph).capture_end();
    return std::int32_t{kGpuDone};
  });
}

std::int32_t replay(void* graph, ShelfcastGpuProblem* problem) {
  return guarded(problem, std::int32_t{kGpuFailed}, [graph] {
    graph_of(graph).replay();
    return std::int32_t{kGpuDone};
  });
}

void release(void* graph) { delete &graph_of(graph); }

constexpr ShelfcastGraphOperations kOperations = {
    .begin = begin, .end = end, .replay = replay, .release = release};

}  // namespace
}  // namespace shelfcast::parallel

extern "C" {
std::int32_t shelfcast_graph_module_version() { return kGraphModuleVersion; }
const ShelfcastGraphOperations* shelfcast_graph_operations() { return &shelfcast::parallel::kOperations; }
}
