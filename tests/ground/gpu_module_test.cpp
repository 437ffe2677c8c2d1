#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <vector>

#include "base/error.h"
#include "parallel/gpu/gpu_loader.h"
#include "parallel/gpu/keep_mask.h"

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

// Its libraries are LibTorch's for CUDA, which come with the toolchain for GPUs alone.
TEST(GraphModule, opens_or_says_which_library_is_missing) {
  try {
    open_torch_cuda();
    EXPECT_NE(graph_operations().begin, nullptr);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_NE(error.why().find(".so"), std::string::npos) << error.what();
    EXPECT_EQ(error.why().find("no such module"), std::string::npos) << error.what();
  }
}

// On a GPU the kernel itself beside what each of its threads does, done here; elsewhere the way to the error.
TEST(GpuModule, makes_masks_of_dropout_or_says_why_it_cannot) {
  const ShelfcastGpuOperations& gpu = gpu_operations();
  const std::vector<std::uint64_t> keys = {0x0123456789ABCDEF, 0xFEDCBA9876543210, 7};
  const auto draws = static_cast<std::int64_t>(keys.size());
  constexpr std::int64_t kElements = 1000;
  constexpr std::uint32_t kThreshold = 6'554;
  ShelfcastGpuProblem problem{};
  if (inspect_gpus(0).devices.empty()) {
    std::vector<std::uint8_t> keep(static_cast<std::size_t>(draws * kElements));
    EXPECT_EQ(gpu.keep_mask(keys.data(), draws, kElements, kThreshold, keep.data(), &problem), kGpuFailed);
    EXPECT_NE(std::strlen(problem.text), 0U);
    return;
  }
  std::vector<std::uint8_t> expected(static_cast<std::size_t>(draws * kElements)), made = expected;
  for (std::int64_t draw = 0; draw < draws; ++draw)
    for (std::int64_t block = 0; block < keep_mask_blocks(kElements); ++block)
      keep_mask_of_block(keys[static_cast<std::size_t>(draw)], kThreshold, block, kElements,
                         expected.data() + draw * kElements);
  auto* on_device =
      static_cast<std::uint64_t*>(gpu.allocate(0, draws * std::int64_t{sizeof(std::uint64_t)}, &problem));
  auto* keep = static_cast<std::uint8_t*>(gpu.allocate(0, draws * kElements, &problem));
  ASSERT_TRUE(on_device != nullptr && keep != nullptr) << problem.text;
  EXPECT_EQ(gpu.copy(on_device, keys.data(), draws * std::int64_t{sizeof(std::uint64_t)}, &problem),
            kGpuDone);
  EXPECT_EQ(gpu.keep_mask(on_device, draws, kElements, kThreshold, keep, &problem), kGpuDone) << problem.text;
  EXPECT_EQ(gpu.copy(made.data(), keep, draws * kElements, &problem), kGpuDone) << problem.text;
  EXPECT_EQ(made, expected);
  gpu.release(on_device);
  gpu.release(keep);
}

}  // namespace
}  // namespace shelfcast::parallel
