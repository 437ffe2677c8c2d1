// Which GPU a rank takes: all that can go wrong, without any.
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/host.h"
#include "parallel/launch.h"
#include "parallel/nccl/gpu_choice.h"

namespace shelfcast::parallel {
namespace {

GpuReport gpus(int count) {
  GpuReport report{{}, {}, 13000, 13010, 22809};
  for (int i = 0; i < count; ++i)
    report.devices.push_back({"NVIDIA H200", "0000:0" + std::to_string(i) + ":00.0",
                              "GPU-" + std::to_string(i), std::int64_t{141} << 30, std::int64_t{140} << 30, 9,
                              0});
  return report;
}

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input) << error.what();
    return error.what();
  }
  return "nothing was thrown";
}

std::string refusal(const RankGpus& rank) {
  return message_of([&] { (void)choose_gpu(rank); });
}

TEST(GpuChoice, takes_the_device_of_the_rank_on_its_host) {
  EXPECT_EQ(choose_gpu({"n1", 0, gpus(4)}), 0);
  EXPECT_EQ(choose_gpu({"n1", 3, gpus(4)}), 3);
}

TEST(GpuChoice, goes_round_where_a_rank_sees_fewer) {
  EXPECT_EQ(choose_gpu({"n1", 3, gpus(2)}), 1);
  EXPECT_EQ(choose_gpu({"n1", 2, gpus(1)}), 0);
}

TEST(GpuChoice, no_driver_is_said_with_the_host) {
  GpuReport none;
  none.problem = "no NVIDIA driver on this machine";
  const std::string text = refusal({"n7", 0, none});
  EXPECT_NE(text.find("n7"), std::string::npos) << text;
  EXPECT_NE(text.find("no NVIDIA driver"), std::string::npos) << text;
  EXPECT_NE(text.find("parallel.device=cpu"), std::string::npos) << text;
}

TEST(GpuChoice, a_driver_older_than_the_build_is_said_with_both_versions) {
  GpuReport old = gpus(1);
  old.driver = 12040;
  const std::string text = refusal({"n7", 0, old});
  EXPECT_NE(text.find("12.4"), std::string::npos) << text;
  EXPECT_NE(text.find("13.0"), std::string::npos) << text;
}

TEST(GpuChoice, a_gpu_without_code_for_it_is_named) {
  GpuReport report = gpus(1);
  report.devices[0].name = "Tesla V100";
  report.devices[0].compute_major = 7;
  const std::string text = refusal({"n7", 0, report});
  EXPECT_NE(text.find("Tesla V100 of n7 is too old"), std::string::npos) << text;
  report.devices[0].compute_minor = 5;
  EXPECT_EQ(choose_gpu({"n7", 0, report}), 0);
}

TEST(GpuChoice, a_gpu_held_by_somebody_else_is_named) {
  GpuReport report = gpus(1);
  report.devices[0].free_bytes = -1;
  EXPECT_NE(refusal({"n7", 0, report}).find("0000:00:00.0 of n7 cannot be opened"), std::string::npos);
}

// All ranks are threads of this host here.
class GpuChoices : public ::testing::Test {
 protected:
  void SetUp() override { unsetenv("NCCL_HOSTID"); }
  void TearDown() override { unsetenv("NCCL_HOSTID"); }
};

TEST_F(GpuChoices, fewer_gpus_than_ranks_are_counted) {
  run_ranks_as_threads(3, [&](Communicator& ranks) {
    const std::string text = message_of([&] { (void)choose_gpus(ranks, gpus(1), false); });
    EXPECT_NE(text.find(host_name() + " has 3 ranks and shows this one 1 GPU)"), std::string::npos) << text;
  });
}

TEST_F(GpuChoices, ranks_that_see_a_gpu_of_their_own_alone_take_it) {
  run_ranks_as_threads(3, [&](Communicator& ranks) {
    GpuReport own = gpus(1);
    own.devices[0].uuid = "GPU-" + std::to_string(ranks.rank());
    for (const bool share : {false, true}) EXPECT_EQ(choose_gpus(ranks, own, share), 0);
  });
  EXPECT_EQ(std::getenv("NCCL_HOSTID"), nullptr);  // nobody shares, though they might
}

TEST_F(GpuChoices, two_ranks_on_one_device_are_an_error_unless_they_may_share) {
  GpuReport twice = gpus(2);
  twice.devices[1].uuid = twice.devices[0].uuid;  // numbered apart, the same all the same
  run_ranks_as_threads(2, [&](Communicator& ranks) {
    const std::string text = message_of([&] { (void)choose_gpus(ranks, twice, false); });
    EXPECT_NE(text.find("ranks 0 and 1 are on the same GPU GPU-0"), std::string::npos) << text;
    EXPECT_EQ(std::getenv("NCCL_HOSTID"), nullptr);
    ranks.barrier("refused");
    EXPECT_EQ(choose_gpus(ranks, twice, true), ranks.rank());
  });
  EXPECT_NE(std::getenv("NCCL_HOSTID"), nullptr);
}

TEST_F(GpuChoices, a_rank_without_gpu_among_ranks_with_one_is_named_by_all) {
  run_ranks_as_threads(3, [&](Communicator& ranks) {
    GpuReport own = gpus(3);
    if (ranks.rank() == 1) own = GpuReport{{}, "no CUDA device", 13000, 13010, 22809};
    try {
      (void)choose_gpus(ranks, own, false);
      ADD_FAILURE() << "nothing was thrown";
    } catch (const Error& error) {
      EXPECT_EQ(error.rank, 1);
      EXPECT_NE(error.problem().find(host_name() + " has no GPU"), std::string::npos) << error.what();
      EXPECT_EQ(error.why(), "no CUDA device");
    }
  });
}

}  // namespace
}  // namespace shelfcast::parallel
