// What runs on GPUs in the place of our own loops, beside them on the CPU.
#include "trainer/device.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/contract/gpu_twin.h"
#include "trainer/device_optimizers.h"

namespace shelfcast::trainer {
namespace {

// Parameters of different rates and decay, the same values every time.
struct Twins {
  static parallel::FlatBuffers make() {
    at::manual_seed(3);
    return parallel::FlatBuffers({{"bias", at::randn({37}).set_requires_grad(true), 1.0, false},
                                  {"top", at::randn({50, 20}).set_requires_grad(true), 1.0, true},
                                  {"more", at::randn({20}).set_requires_grad(true), 1.0, true},
                                  {"text", at::randn({64}).set_requires_grad(true), 0.25, true}},
                                 2);
  }
  parallel::FlatBuffers ours = make(), theirs = make();
};

struct Case {
  const char* name;
  OptimizerConfig config;
  std::optional<parallel::Slice> share;
};

// Names in the list of tests; without it they would hold addresses that differ from run to run.
void PrintTo(const Case& one, std::ostream* out) { *out << one.name; }

class DeviceOptimizers : public ::testing::TestWithParam<Case> {};

OptimizerConfig config_of(const std::string& name, double momentum = 0.9) {
  OptimizerConfig config;
  config.name = name;
  config.weight_decay = 0.1;
  config.momentum = momentum;
  return config;
}

INSTANTIATE_TEST_SUITE_P(
    Of, DeviceOptimizers,
    ::testing::Values(Case{"adamw", config_of("adamw"), {}},
                      Case{"adamw_of_a_share", config_of("adamw"), parallel::Slice{560, 1120}},
                      Case{"sgd", config_of("sgd"), {}}, Case{"plain_sgd", config_of("sgd", 0.0), {}},
                      Case{"sgd_of_a_share", config_of("sgd"), parallel::Slice{0, 560}}),
    [](const auto& instance) { return instance.param.name; });

TEST_P(DeviceOptimizers, equal_the_loops_of_the_cpu_to_rounding_and_clear_the_gradients) {
  Twins twins;
  const auto ours = make_optimizer(GetParam().config, twins.ours, GetParam().share);
  const auto theirs = make_device_optimizer(GetParam().config, twins.theirs, GetParam().share);
  for (int step = 0; step < 5; ++step) {
    // The padding between parameters has no gradient.
    for (std::size_t i = 0; i < twins.ours.tensors().size(); ++i) {
      const at::Tensor gradient = at::randn_like(twins.ours.tensors()[i]);
      at::Tensor(twins.ours.tensors()[i]).mutable_grad().copy_(gradient);
      at::Tensor(twins.theirs.tensors()[i]).mutable_grad().copy_(gradient);
    }
    ours->step(1e-2, 0.5);
    theirs->step(1e-2, 0.5);
    EXPECT_EQ(twins.theirs.gradients().abs().max().item<float>(), 0.0F);
  }
  EXPECT_LT((twins.ours.values() - twins.theirs.values()).abs().max().item<float>(), 2e-6F);
  ASSERT_EQ(ours->state().size(), theirs->state().size());
  for (std::size_t i = 0; i < ours->state().size(); ++i)
    EXPECT_LT((ours->state()[i].values - theirs->state()[i].values).abs().max().item<float>(), 2e-6F);
  EXPECT_GT((twins.ours.values() - Twins::make().values()).abs().max().item<float>(), 1e-3F);
}

TEST(DeviceOptimizer, adafactor_is_refused_by_name) {
  parallel::FlatBuffers buffers = Twins::make();
  try {
    (void)make_device_optimizer(config_of("adafactor"), buffers, {});
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_NE(error.problem().find("adafactor"), std::string::npos) << error.what();
  }
}

TEST(DeviceOptimizer, buffers_lie_where_their_parameters_are) {
  const at::Tensor parameter =
      at::empty({3, 4}, at::TensorOptions(at::kFloat).device(at::kMeta)).set_requires_grad(true);
  const parallel::FlatBuffers buffers({{"p", parameter}});
  EXPECT_TRUE(buffers.values().is_meta());
  EXPECT_TRUE(buffers.gradients().is_meta());
}

TEST(DeviceMemory, used_up_it_is_said_what_took_it_and_what_to_lower) {
  TrainConfig train;
  train.micro_batch = 96;
  const c10::OutOfMemoryError words({__func__, __FILE__, 1},
                                    "CUDA out of memory. Tried to allocate 2.00 GiB");
  const Error error = out_of_memory(words, 3'200'000'000, train);
  EXPECT_NE(error.why().find("3.20 GB"), std::string::npos) << error.what();
  EXPECT_NE(error.why().find("96 windows"), std::string::npos) << error.what();
  EXPECT_NE(error.why().find("Tried to allocate 2.00 GiB"), std::string::npos) << error.what();
  EXPECT_NE(error.advice().find("train.micro_batch"), std::string::npos) << error.what();
  const Error elsewhere = out_of_memory(words, "validation");
  EXPECT_NE(elsewhere.why().find("in phase validation; CUDA out of memory."), std::string::npos)
      << elsewhere.what();
}

models::SiteDropout site_of(double rate) {
  const models::DropoutKeys keys{11, 5, {3, 4, 1'000'000'007}};
  return models::Dropout(&keys, rate).site("encoder.0.hidden");
}

TEST(DeviceMasks, of_the_kernel_are_those_of_the_cpu) {
  const models::DeviceKeepMask make = checked_masks(parallel::gpu_twin(), at::kCPU);
  for (const double rate : {0.1, 0.5, 0.9}) {
    const models::SiteDropout site = site_of(rate);
    for (const std::int64_t n : {1, 2, 33, 127, 128, 129, 5000})
      EXPECT_TRUE(at::equal(models::keep_mask_by(make, site, n, at::kCPU), site.keep_mask(n)))
          << rate << " " << n;
  }
}

TEST(DeviceMasks, a_kernel_that_fails_or_makes_other_masks_is_not_taken) {
  ShelfcastGpuOperations gpu = parallel::gpu_twin();
  gpu.keep_mask = [](auto, auto, auto, auto, auto, ShelfcastGpuProblem* problem) -> std::int32_t {
    std::snprintf(problem->text, sizeof(problem->text), "no kernel image is available");
    return kGpuFailed;
  };
  try {
    (void)checked_masks(gpu, at::kCPU);
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_NE(error.why().find("no kernel image"), std::string::npos) << error.what();
  }
  gpu.keep_mask = [](auto keys, auto draws, auto elements, auto threshold, auto keep, auto problem) {
    const std::int32_t state =
        parallel::gpu_twin().keep_mask(keys, draws, elements, threshold, keep, problem);
    keep[draws * elements - 1] ^= 1;
    return state;
  };
  try {
    (void)checked_masks(gpu, at::kCPU);
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_NE(error.problem().find("others than the CPU"), std::string::npos) << error.what();
  }
}

TEST(HostCopies, what_is_in_host_memory_stands_for_itself) {
  HostCopies copies;
  const at::Tensor array = at::arange(4.0);
  EXPECT_TRUE(copies.of(array).is_same(array));
}

TEST(HostCopies, an_array_of_a_device_has_one_copy_of_its_shape) {
  HostCopies copies;
  const at::Tensor array = at::empty({2, 3}, at::TensorOptions(at::kFloat).device(at::kMeta));
  const at::Tensor copy = copies.of(array);
  EXPECT_TRUE(copy.device().is_cpu());
  EXPECT_EQ(copy.sizes(), array.sizes());
  EXPECT_TRUE(copies.of(array).is_same(copy));
}

}  // namespace
}  // namespace shelfcast::trainer
