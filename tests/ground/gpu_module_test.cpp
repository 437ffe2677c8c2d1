#include <gtest/gtest.h>

#include <filesystem>

#include "parallel/gpu/gpu_loader.h"

namespace shelfcast::parallel {
namespace {

TEST(GpuModule, lies_where_programs_look_for_it) { EXPECT_TRUE(std::filesystem::exists(gpu_module_path())); }

TEST(GpuModule, opens_and_knows_its_cuda_runtime) {
  const GpuReport report = inspect_gpus();
  EXPECT_GE(report.runtime, 12000) << report.problem;
}

TEST(GpuModule, either_lists_devices_or_says_why_there_are_none) {
  const GpuReport report = inspect_gpus();
  EXPECT_EQ(report.devices.empty(), !report.problem.empty()) << report.problem;
  for (const GpuDevice& device : report.devices) {
    EXPECT_FALSE(device.name.empty());
    EXPECT_FALSE(device.bus_id.empty());
    EXPECT_GT(device.memory_bytes, 0);
    EXPECT_LE(device.free_bytes, device.memory_bytes);
    EXPECT_GE(device.compute_major, 3);
  }
}

TEST(GpuModule, says_the_same_when_asked_twice) {
  EXPECT_EQ(inspect_gpus().devices.size(), inspect_gpus().devices.size());
}

}  // namespace
}  // namespace shelfcast::parallel
