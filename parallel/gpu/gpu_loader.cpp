#include "parallel/gpu/gpu_loader.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"

namespace shelfcast::parallel {
namespace {

// An opened module; the library stays open until the process ends, because CUDA does not survive being
// closed.
template <typename Operations>
struct Module {
  const Operations* operations = nullptr;
  std::string problem;
};

// What tells one module from the other.
template <typename Operations>
struct Names {
  const char* file;
  const char* version;  // functions
  const char* operations;
  std::int32_t expected;  // version
};

constexpr Names<ShelfcastGpuOperations> kGpu = {"libshelfcast_gpu.so", "shelfcast_gpu_module_version",
                                                "shelfcast_gpu_operations", kGpuModuleVersion};
constexpr Names<ShelfcastGraphOperations> kGraphs = {"libshelfcast_graphs.so",
                                                     "shelfcast_graph_module_version",
                                                     "shelfcast_graph_operations", kGraphModuleVersion};

std::filesystem::path path_of(const char* file) {
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe");
  return program.parent_path().parent_path() / "lib" / file;
}

template <typename Operations>
Module<Operations> open_module(const Names<Operations>& names) {
  Module<Operations> module;
  const std::filesystem::path path = path_of(names.file);
  if (!std::filesystem::exists(path)) {
    module.problem = fmt::format("{} is missing: this build has no such module", path.string());
    return module;
  }
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    module.problem = fmt::format("the GPU module cannot be opened: {}", dlerror());
    return module;
  }
  const auto version = reinterpret_cast<std::int32_t (*)()>(dlsym(library, names.version));
  const auto operations = reinterpret_cast<const Operations* (*)()>(dlsym(library, names.operations));
  if (version == nullptr || operations == nullptr || version() != names.expected) {
    module.problem = fmt::format("{} belongs to another build of the program", path.string());
    return module;
  }
  module.operations = operations();
  return module;
}

const Module<ShelfcastGpuOperations>& the_module() {
  static const Module<ShelfcastGpuOperations> module = open_module(kGpu);
  return module;
}

}  // namespace

std::filesystem::path gpu_module_path() { return path_of(kGpu.file); }

GpuReport inspect_gpus(int open) {
  GpuReport report;
  report.has_driver = std::filesystem::exists("/dev/nvidiactl");  // without the module, too
  const Module<ShelfcastGpuOperations>& module = the_module();
  if (module.operations == nullptr) {
    report.problem = module.problem;
    return report;
  }
  ShelfcastGpuVersions versions{};
  module.operations->versions(&versions);
  report.runtime = versions.runtime;
  report.driver = versions.driver;
  report.nccl = versions.nccl;
  report.has_driver = report.has_driver || versions.driver > 0;

  std::array<ShelfcastGpuDevice, 64> found{};
  ShelfcastGpuProblem problem{};
  const int count =
      module.operations->devices(found.data(), static_cast<std::int32_t>(found.size()), open, &problem);
  if (count < 0) {
    // CUDA itself calls a machine without any driver one with an old driver.
    report.problem = versions.driver == 0 ? "no NVIDIA driver on this machine" : problem.text;
  } else if (count == 0) {
    report.problem = "no CUDA device";
  }
  for (int index = 0; index < std::min<int>(count, static_cast<int>(found.size())); ++index) {
    const ShelfcastGpuDevice& device = found[static_cast<std::size_t>(index)];
    report.devices.push_back({device.name, device.bus_id, device.uuid, device.memory_bytes, device.free_bytes,
                              device.compute_major, device.compute_minor});
  }
  return report;
}

const ShelfcastGpuOperations& gpu_operations() {
  if (the_module().operations == nullptr)
    throw input_error("GPUs cannot be used", the_module().problem,
                      "build with GPU=1 on a machine with a GPU, or choose parallel.device=cpu");
  return *the_module().operations;
}

const ShelfcastGraphOperations& graph_operations() {
  static const Module<ShelfcastGraphOperations> module = open_module(kGraphs);
  if (module.operations == nullptr)
    throw input_error("CUDA graphs cannot be used", module.problem,
                      "build with GPU=1, or set train.cuda_graphs=false");
  return *module.operations;
}

void open_torch_cuda() {
  // Its registrations are for everyone who computes with LibTorch.
  static void* const library = dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL);
  static const std::string words = library == nullptr ? std::string(dlerror()) : std::string();
  if (library == nullptr)
    throw input_error("LibTorch's CUDA library cannot be opened", words,
                      "build with GPU=1, or choose parallel.device=cpu");
}

}  // namespace shelfcast::parallel
