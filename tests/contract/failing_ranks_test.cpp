// A rank that fails takes the others with it: nobody waits for a deadline, nobody ends well.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "parallel/launch.h"

namespace shelfcast::parallel {
namespace {

using namespace std::chrono_literals;

constexpr Deadlines kEndless{1h, 1h};

Error error_of(int ranks, const std::function<void(Communicator&)>& body) {
  try {
    run_ranks_as_threads(ranks, body, kEndless);
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return input_error("nothing");
}

TEST(ThreadsRanks, the_first_error_comes_out_with_its_rank) {
  const Error error = error_of(4, [](Communicator& ranks) {
    if (ranks.rank() == 2) throw data_error("segment 7 is damaged");
    ranks.barrier("all read");
  });
  EXPECT_EQ(error.kind(), ErrorKind::data);
  EXPECT_EQ(error.problem(), "segment 7 is damaged");
  EXPECT_EQ(error.rank, 2);
}

TEST(ThreadsRanks, exceptions_of_other_types_become_internal_errors) {
  const Error error = error_of(2, [](Communicator& ranks) {
    if (ranks.rank() == 1) throw std::out_of_range("index 5");
    ranks.barrier("all read");
  });
  EXPECT_EQ(error.kind(), ErrorKind::internal);
  EXPECT_EQ(error.rank, 1);
}

TEST(ThreadsRanks, the_others_learn_why) {
  std::atomic<int> told = 0;
  error_of(3, [&](Communicator& ranks) {
    if (ranks.rank() == 0) throw data_error("segment 7 is damaged");
    try {
      ranks.barrier("all read");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::communication);
      EXPECT_NE(std::string(error.what()).find("segment 7 is damaged"), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find("all read"), std::string::npos) << error.what();
      ++told;
    }
  });
  EXPECT_EQ(told, 2);
}

TEST(ThreadsRanks, waits_in_split_groups_end_too) {
  const Error error = error_of(4, [](Communicator& ranks) {
    const auto pair = ranks.split(ranks.rank() / 2, 0);
    if (ranks.rank() == 3) throw data_error("gone");
    if (ranks.rank() < 2) pair->barrier("fine");
    ranks.barrier("never");
  });
  EXPECT_EQ(error.rank, 3);
}

TEST(ThreadsRanks, a_rank_that_has_finished_is_not_waited_for) {
  const Error error = error_of(3, [](Communicator& ranks) {
    if (ranks.rank() != 1) ranks.barrier("one too many");
  });
  EXPECT_EQ(error.kind(), ErrorKind::communication);
  EXPECT_NE(std::string(error.what()).find("rank 1 has finished"), std::string::npos) << error.what();
}

TEST(ThreadsRanks, abort_ends_all_waits_with_its_message) {
  const Error error = error_of(3, [](Communicator& ranks) {
    if (ranks.rank() == 1) return ranks.abort("disk on fire");
    ranks.barrier("never");
  });
  EXPECT_EQ(error.rank, 1);
  EXPECT_EQ(error.problem(), "disk on fire");
}

TEST(ThreadsRanks, different_operations_that_meet_are_named) {
  const Error error = error_of(2, [](Communicator& ranks) {
    std::vector<float> values(3);
    if (ranks.rank() == 0) ranks.barrier("epoch end");
    if (ranks.rank() == 1) ranks.all_reduce(std::span(values), ReduceOp::sum, "loss");
  });
  EXPECT_EQ(error.kind(), ErrorKind::communication);
  EXPECT_NE(std::string(error.what()).find("epoch end"), std::string::npos) << error.what();
  EXPECT_NE(std::string(error.what()).find("loss"), std::string::npos) << error.what();
}

TEST(ThreadsRanks, a_started_reduction_that_is_dropped_fails_the_run_and_keeps_memory_safe) {
  ::testing::internal::CaptureStderr();
  const Error error = error_of(2, [](Communicator& ranks) {
    std::vector<float> values(1000, 1.0f);
    if (ranks.rank() == 0) {
      ranks.start_all_reduce(values, "bucket 0");
      return;
    }
    std::this_thread::sleep_for(50ms);
    ranks.start_all_reduce(values, "bucket 0")->wait();
  });
  EXPECT_NE(std::string(error.what()).find("did not wait"), std::string::npos) << error.what();
  EXPECT_NE(::testing::internal::GetCapturedStderr().find("bucket 0"), std::string::npos);
}

TEST(ThreadsRanks, log_with_their_own_rank) {
  ::testing::internal::CaptureStdout();
  run_ranks_as_threads(3, [](Communicator&) { log::all("once"); });
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "once\n");
}

TEST(SingleRank, refuses_to_go_on_after_abort) {
  const auto single = make_single();
  single->abort("disk on fire");
  EXPECT_THROW(single->barrier("next"), Error);
}

// The output and exit status of a command.
std::pair<std::string, int> output_of(const std::string& command) {
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  std::string output;
  char buffer[4096];
  while (const std::size_t count = std::fread(buffer, 1, sizeof buffer, pipe)) output.append(buffer, count);
  const int status = ::pclose(pipe);
  return {output, WIFEXITED(status) ? WEXITSTATUS(status) : -1};
}

TEST(MpiRanks, one_that_fails_stops_all_with_its_message_and_a_failure_status) {
  if (std::system("command -v mpirun >/dev/null") != 0) GTEST_SKIP() << "no mpirun here";
  ::setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
  ::setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
  const auto program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "contract_mpi_tests";
  const auto began = std::chrono::steady_clock::now();
  const auto [output, status] =
      output_of("mpirun --oversubscribe -n 3 " + program.string() + " --play-failing-rank");
  EXPECT_NE(status, 0) << output;
  EXPECT_NE(output.find("segment 7 is damaged"), std::string::npos) << output;
  EXPECT_NE(output.find("rank 1"), std::string::npos) << output;
  EXPECT_LT(std::chrono::steady_clock::now() - began, 30s);
}

TEST(MpiRanks, a_test_program_without_mpirun_or_without_tests_fails) {
  const auto program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "contract_mpi_tests";
  EXPECT_NE(output_of(program.string()).second, 0);
  if (std::system("command -v mpirun >/dev/null") != 0) GTEST_SKIP() << "no mpirun here";
  ::setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
  ::setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
  const auto [output, status] = output_of("mpirun -n 1 " + program.string() + " --gtest_filter=nothing");
  EXPECT_NE(status, 0) << output;
}

}  // namespace
}  // namespace shelfcast::parallel
