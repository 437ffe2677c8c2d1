// From wishes to ranks and devices: what goes together, and what a machine without GPUs says.
#include "parallel/world.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/host.h"
#include "parallel/gpu/gpu_loader.h"

namespace shelfcast::parallel {
namespace {

std::string refusal_of(const WorldConfig& config) {
  Launch launch(nullptr, nullptr);
  try {
    (void)make_world(launch, config);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input) << error.what();
    return error.what();
  }
  return "nothing was thrown";
}

TEST(World, devices_are_parsed_and_others_refused) {
  EXPECT_EQ(parse_device("auto"), DeviceChoice::automatic);
  EXPECT_EQ(parse_device("cpu"), DeviceChoice::cpu);
  EXPECT_EQ(parse_device("gpu"), DeviceChoice::gpu);
  EXPECT_THROW(parse_device("tpu"), Error);
}

TEST(World, the_cpu_is_taken_when_asked_for_whatever_there_is) {
  Launch launch(nullptr, nullptr);
  const World world = make_world(launch, {.device = DeviceChoice::cpu});
  EXPECT_EQ(world.gpu, -1);
  EXPECT_EQ(world.device_name, "cpu");
  EXPECT_EQ(world.ranks->backend(), "single");
}

TEST(World, by_itself_it_takes_a_gpu_where_there_is_one) {
  if (!inspect_gpus().devices.empty()) GTEST_SKIP() << "opens CUDA for the rest of the process";
  Launch launch(nullptr, nullptr);
  EXPECT_EQ(make_world(launch, {}).gpu, -1);
}

TEST(World, back_ends_carry_the_memory_they_can) {
  EXPECT_NE(refusal_of({.backend = Backend::nccl, .device = DeviceChoice::cpu}).find("memory of GPUs only"),
            std::string::npos);
  EXPECT_NE(refusal_of({.backend = Backend::mpi, .device = DeviceChoice::gpu}).find("host memory only"),
            std::string::npos);
}

TEST(World, a_gpu_that_is_asked_for_and_not_there_is_an_error_with_the_reason_and_a_way_out) {
  const GpuReport report = inspect_gpus();
  if (!report.devices.empty()) GTEST_SKIP() << "this machine has a GPU";
  for (const WorldConfig& config :
       {WorldConfig{.device = DeviceChoice::gpu}, WorldConfig{.backend = Backend::nccl}}) {
    const std::string text = refusal_of(config);
    EXPECT_NE(text.find(host_name() + " has no GPU to compute on"), std::string::npos) << text;
    EXPECT_NE(text.find(report.problem), std::string::npos) << text;
    EXPECT_NE(text.find("parallel.device=cpu"), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace shelfcast::parallel
