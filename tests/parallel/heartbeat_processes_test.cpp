// Runs of real processes in which one rank is killed, stopped, stuck, slow or out of memory: whoever is left
// stops soon, says who it was, and leaves nothing behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

namespace shelfcast::parallel {
namespace {

using namespace std::chrono_literals;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

struct Outcome {
  std::string output;
  int status = -1;
  double seconds = 0.0;
};

std::filesystem::path program() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "heartbeat_ranks";
}

// Whether a process has `word` among its arguments.
bool is_running(const std::string& word) {
  std::error_code gone;
  for (const auto& process : std::filesystem::directory_iterator("/proc", gone)) {
    std::ifstream file(process.path() / "cmdline");
    const std::string line((std::istreambuf_iterator<char>(file)), {});
    if (line.find(word + '\0') != std::string::npos || line.ends_with(word)) return true;
  }
  return false;
}

// The accident `scenario` on rank `culprit` of `ranks`; 0 ranks: without mpirun.
Outcome run(const std::string& scenario, int culprit, int ranks = 3) {
  ::setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
  ::setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
  const std::string word = fmt::format("run-{}-{}-{}", ::getpid(), scenario, culprit);
  const std::string launcher = ranks == 0 ? "" : fmt::format("mpirun --oversubscribe -n {} ", ranks);
  const auto began = std::chrono::steady_clock::now();
  // A time limit of its own, so that a failure to stop fails this test and not those after it.
  FILE* pipe = ::popen(
      fmt::format("timeout -k 1 25 {}{} {} {} {} 2>&1", launcher, program().string(), scenario, culprit, word)
          .c_str(),
      "r");
  Outcome outcome;
  char buffer[4096];
  while (const std::size_t count = std::fread(buffer, 1, sizeof buffer, pipe))
    outcome.output.append(buffer, count);
  const int status = ::pclose(pipe);
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  for (int i = 0; i < 20 && is_running(word); ++i) std::this_thread::sleep_for(50ms);
  EXPECT_FALSE(is_running(word)) << "a process is left behind";
  std::filesystem::remove(fmt::format("/tmp/shelfcast-stalled-{}", word));
  return outcome;
}

// What every accident must end in: soon, and not well.
void expect_stopped(const Outcome& outcome) {
  EXPECT_NE(outcome.status, 0) << outcome.output;
  EXPECT_NE(outcome.status, 124) << "ran into the test's own limit\n" << outcome.output;
  EXPECT_LT(outcome.seconds, 12.0) << outcome.output;
  EXPECT_THAT(outcome.output, Not(HasSubstr("all steps done")));
}

class HeartbeatProcesses : public ::testing::Test {
  void SetUp() override {
    if (std::system("command -v mpirun >/dev/null") != 0) GTEST_SKIP() << "no mpirun here";
  }
};

void expect_killed_rank_is_named(int rank) {
  const Outcome outcome = run("killed", rank);
  expect_stopped(outcome);
  EXPECT_THAT(
      outcome.output,
      ContainsRegex(fmt::format("rank {} on [^ ]+ is gone .*phase train, step 3, in \"forward\" for", rank)));
}

TEST_F(HeartbeatProcesses, a_killed_rank_is_named_with_host_phase_step_and_operation) {
  expect_killed_rank_is_named(1);
}

TEST_F(HeartbeatProcesses, a_killed_rank_0_is_named_by_the_others) { expect_killed_rank_is_named(0); }

TEST_F(HeartbeatProcesses, ranks_that_compute_are_stopped_too_when_one_is_killed) {
  expect_killed_rank_is_named(2);
}

TEST_F(HeartbeatProcesses, a_stopped_rank_is_named_after_the_deadline) {
  const Outcome outcome = run("stopped", 1);
  expect_stopped(outcome);
  EXPECT_THAT(outcome.output,
              ContainsRegex("\"gradients bucket 0\" did not end within 1 s on rank [02] on "));
  EXPECT_THAT(
      outcome.output,
      ContainsRegex(
          "rank 1 on [^ ]+: no heartbeat for .*before that in phase train, step 3, in \"forward\" for"));
}

TEST_F(HeartbeatProcesses, a_rank_that_throws_is_quoted_by_the_others_at_once) {
  const Outcome outcome = run("throws", 2);
  expect_stopped(outcome);
  EXPECT_THAT(outcome.output, ContainsRegex("\\[rank 0 .*rank 2 on [^ ]+ failed: segment 7 is damaged"));
}

TEST_F(HeartbeatProcesses, a_rank_that_leaves_with_0_does_not_end_the_run_well) {
  const Outcome outcome = run("exits", 1);
  expect_stopped(outcome);
  EXPECT_THAT(outcome.output,
              ContainsRegex("rank 1 on [^ ]+ is gone .*phase train, step 3, in \"forward\" for"));
}

TEST_F(HeartbeatProcesses, a_rank_out_of_memory_is_quoted_by_the_others) {
  const Outcome outcome = run("memory", 1);
  expect_stopped(outcome);
  EXPECT_THAT(outcome.output, ContainsRegex("rank 1 on [^ ]+ failed: std::bad_alloc"));
}

TEST_F(HeartbeatProcesses, a_slow_rank_is_warned_about_and_waited_for) {
  const Outcome outcome = run("slow", 1);
  EXPECT_EQ(outcome.status, 0) << outcome.output;
  EXPECT_THAT(outcome.output, HasSubstr("all steps done"));
  EXPECT_THAT(outcome.output,
              ContainsRegex("warning: \"gradients bucket 0\" has waited .*slow rank.*rank 1 on"));
}

TEST_F(HeartbeatProcesses,
       a_rank_that_computes_without_progress_is_warned_about_and_named_after_the_deadline) {
  const Outcome outcome = run("stuck", 1);
  expect_stopped(outcome);
  EXPECT_THAT(outcome.output,
              ContainsRegex("warning: rank 1 on [^ ]+ is late: .*others wait in \"gradients"));
  EXPECT_THAT(
      outcome.output,
      ContainsRegex("did not end within 1 s on rank .*rank 1 on [^ ]+: phase train, step 3, in \"forward\""));
}

TEST_F(HeartbeatProcesses, a_stalled_file_is_named_and_ends_the_run) {
  const Outcome outcome = run("stalled", 1);
  expect_stopped(outcome);
  EXPECT_THAT(outcome.output, ContainsRegex("warning: waiting for the file system .*reading /tmp/"));
  EXPECT_THAT(outcome.output,
              ContainsRegex("rank 1 on [^ ]+ failed: the file system does not answer: \"reading "
                            "/tmp/.*phase train, step 3"));
}

TEST(HeartbeatAlone, a_stalled_file_ends_a_single_process) {
  const Outcome outcome = run("stalled", 0, 0);
  EXPECT_EQ(outcome.status, 1) << outcome.output;
  EXPECT_LT(outcome.seconds, 12.0);
  EXPECT_THAT(outcome.output, HasSubstr("the file system does not answer: \"reading /tmp/"));
}

TEST_F(HeartbeatProcesses, a_run_without_accidents_says_nothing_and_ends_well) {
  const Outcome outcome = run("none", 0);
  EXPECT_EQ(outcome.status, 0) << outcome.output;
  EXPECT_EQ(outcome.output, "all steps done\n");
}

}  // namespace
}  // namespace shelfcast::parallel
