#include "parallel/gpu/gpu_loader.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "parallel/gpu/gpu_module.h"

namespace shelfcast::parallel {
namespace {

// The opened module; the library stays open until the process ends, because CUDA does not survive being
// closed.
struct Module {
  decltype(&shelfcast_gpu_module_version) version = nullptr;
  decltype(&shelfcast_gpu_versions) versions = nullptr;
  decltype(&shelfcast_gpu_devices) devices = nullptr;
  std::string problem;
};

Module open_module() {
  Module module;
  const std::filesystem::path path = gpu_module_path();
  if (!std::filesystem::exists(path)) {
    module.problem = fmt::format("{} is missing: this build has no GPU module", path.string());
    return module;
  }
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    module.problem = fmt::format("the GPU module cannot be opened: {}", dlerror());
    return module;
  }
  module.version = reinterpret_cast<decltype(module.version)>(dlsym(library, "shelfcast_gpu_module_version"));
  module.versions = reinterpret_cast<decltype(module.versions)>(dlsym(library, "shelfcast_gpu_versions"));
  module.devices = reinterpret_cast<decltype(module.devices)>(dlsym(library, "shelfcast_gpu_devices"));
  if (module.version == nullptr || module.versions == nullptr || module.devices == nullptr ||
      module.version() != kGpuModuleVersion)
    module.problem = fmt::format("{} belongs to another build of the program", path.string());
  return module;
}

const Module& the_module() {
  static const Module module = open_module();
  return module;
}

}  // namespace

std::filesystem::path gpu_module_path() {
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe");
  return program.parent_path().parent_path() / "lib" / "libshelfcast_gpu.so";
}

GpuReport inspect_gpus() {
  GpuReport report;
  const Module& module = the_module();
  if (!module.problem.empty()) {
    report.problem = module.problem;
    return report;
  }
  ShelfcastGpuVersions versions{};
  module.versions(&versions);
  report.runtime = versions.runtime;
  report.driver = versions.driver;
  report.nccl = versions.nccl;

  std::array<ShelfcastGpuDevice, 64> found{};
  std::array<char, 256> problem{};
  const int count = module.devices(found.data(), static_cast<std::int32_t>(found.size()), problem.data(),
                                   static_cast<std::int32_t>(problem.size()));
  if (count < 0) {
    // CUDA itself calls a machine without any driver one with an old driver.
    report.problem = versions.driver == 0 ? "no NVIDIA driver on this machine" : problem.data();
  } else if (count == 0) {
    report.problem = "no CUDA device";
  }
  for (int index = 0; index < std::min<int>(count, static_cast<int>(found.size())); ++index) {
    const ShelfcastGpuDevice& device = found[static_cast<std::size_t>(index)];
    report.devices.push_back({device.name, device.bus_id, device.memory_bytes, device.free_bytes,
                              device.compute_major, device.compute_minor});
  }
  return report;
}

}  // namespace shelfcast::parallel
