// The ledger under many writers, torn lines and full disks.
#include "trainer/sweep/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "base/error.h"
#include "tests/trainer/sweep_fixture.h"
#include "trainer/sweep/table.h"

namespace shelfcast::trainer {
namespace {

using ::testing::HasSubstr;

const char* const kTwoHundred =
    "method: random\nruns: 200\nkeys: {model.dropout: {range: [0.0, 0.9]}, train.optimizer.lr: {log: "
    "[1.0e-5, 1.0]}}\n"
    "halving: {first: 10, keep: 3}\n";

TEST(SweepLedger, two_hundred_jobs_that_finish_in_the_same_second_lose_no_result) {
  const SweepFolder folder;
  const SweepPlan plan = folder.stored(kTwoHundred);
  ASSERT_EQ(plan.runs.size(), 200u);
  std::vector<pid_t> jobs;
  for (std::size_t run = 0; run < 200; ++run) {
    const pid_t job = ::fork();
    if (job == 0) {
      try {
        LedgerSession(plan).add(result(plan, run, 0, static_cast<double>(run)));
        ::_exit(0);
      } catch (...) {
        ::_exit(1);
      }
    }
    jobs.push_back(job);
  }
  for (const pid_t job : jobs) {
    int status = 0;
    ASSERT_EQ(::waitpid(job, &status, 0), job);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  const SweepState state = read_state(plan);
  for (std::size_t run = 0; run < 200; ++run) {
    ASSERT_EQ(state.runs()[run].results.size(), 1u) << run;
    EXPECT_EQ(state.runs()[run].results[0], static_cast<double>(run));
  }
  Decision decision;
  ASSERT_TRUE(state.decide(decision));
  EXPECT_EQ(decision.promoted.size(), 66u);
}

TEST(SweepLedger, exactly_one_of_many_workers_claims_a_run) {
  const SweepFolder folder;
  const SweepPlan plan =
      folder.stored("method: random\nruns: 20\nkeys: {model.dropout: {range: [0.0, 0.9]}}\n");
  std::vector<std::thread> workers;
  std::atomic<int> claims{0};
  for (std::int64_t task = 0; task < 8; ++task)
    workers.emplace_back([&, task] {
      for (Segment segment; true; ++claims) {
        LedgerSession session(plan);
        if (!session.state().next_for({0, task}, segment)) return;
        session.add(started(plan, segment.run, segment.rung, {0, task}));
        session.add(result(plan, segment.run, segment.rung, 1.0));
      }
    });
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(claims, 20);
}

TEST(SweepLedger, a_torn_last_line_is_cut_off_and_a_damaged_one_is_named) {
  const SweepFolder folder;
  const SweepPlan plan = folder.stored("keys: {model.dropout: [0.0, 0.1]}\n");
  LedgerSession(plan).add(result(plan, 0, 0, 1.0));
  std::ofstream(plan.ledger(), std::ios::app) << "{\"event\": \"resu";
  EXPECT_EQ(read_state(plan).runs()[0].results.size(), 1u);
  LedgerSession(plan).add(result(plan, 1, 0, 2.0));
  EXPECT_EQ(read_state(plan).runs()[1].results.size(), 1u);
  std::ofstream(plan.ledger(), std::ios::app) << "nonsense\n";
  try {
    read_state(plan);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("ledger.jsonl:3 is damaged"));
  }
}

TEST(SweepLedger, a_failure_told_in_bytes_that_are_no_utf_8_is_noted) {
  const SweepFolder folder;
  const SweepPlan plan = folder.stored("keys: {model.dropout: [0.0, 0.1]}\n");
  nlohmann::json event = failed(plan, 0, 0);
  event["error"] = "Datei zu gro\xdf";  // Latin-1
  LedgerSession(plan).add(event);
  const RunRecord run = read_state(plan).runs()[0];
  EXPECT_EQ(run.state, RunRecord::State::failed);
  EXPECT_EQ(run.error, "Datei zu gro\uFFFD");
}

TEST(SweepLedger, a_full_disk_is_said_and_leaves_the_ledger_as_it_was) {
  const SweepFolder folder;
  const SweepPlan plan = folder.stored("keys: {model.dropout: [0.0, 0.1]}\n");
  LedgerSession(plan).add(result(plan, 0, 0, 1.0));
  const std::string before = read_file(plan.ledger());
  rlimit old{};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const rlimit little{before.size() + 20, old.rlim_max};
  std::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &little);
  std::string message = "no error";
  try {
    LedgerSession(plan).add(result(plan, 1, 0, 2.0));
  } catch (const Error& error) {
    message = error.what();
  }
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, SIG_DFL);
  EXPECT_THAT(message, HasSubstr("cannot write"));
  EXPECT_THAT(message, HasSubstr("ledger.jsonl"));
  EXPECT_EQ(read_file(plan.ledger()), before);
}

TEST(SweepLedger, a_lock_that_others_hold_ends_in_an_error_and_not_in_waiting_for_ever) {
  const SweepFolder folder;
  const FileLock held(folder.path("a.lock"));
  EXPECT_THROW(FileLock(folder.path("a.lock"), std::chrono::milliseconds(20)), Error);
}

// 1,000 runs in every state, folders and metrics included.
TEST(SweepTable, tells_the_state_of_a_thousand_runs) {
  const SweepFolder folder;
  const SweepPlan plan = folder.stored(
      "method: random\nruns: 1000\nkeys: {model.dropout: {range: [0.0, 0.9]}, train.optimizer.lr: {log: "
      "[1.0e-6, 1.0]}}\n"
      "halving: {first: 10, keep: 3}\n");
  ASSERT_EQ(plan.runs.size(), 1000u);
  std::string metrics;
  for (int step = 1; step <= 400; ++step)
    metrics += fmt::format(
        "{{\"step\":{0},\"loss\":0.5,\"windows_per_second\":812.5,\"memory_bytes\":123456789,\"time\":{1}}}"
        "\n",
        step, 1.7e9 + step * 2);
  metrics += "{\"step\":400,\"validation_loss\":0.25,\"best_step\":400}\n";
  std::ofstream ledger(plan.ledger());
  for (std::size_t run = 0; run < 1000; ++run) {
    if (run % 4 == 0) continue;  // waits
    ledger << started(plan, run, 0, {1, static_cast<std::int64_t>(run)}).dump() << '\n';
    std::filesystem::create_directories(plan.run_folder(run));
    std::ofstream(plan.run_folder(run) / "metrics.jsonl") << metrics;
    if (run % 4 == 1) ledger << result(plan, run, 0, static_cast<double>(run)).dump() << '\n';
    if (run % 4 == 2) ledger << failed(plan, run, 0).dump() << '\n';
  }
  ledger.close();
  const SweepPlan loaded = load_plan(plan.dir);
  const std::string text = describe_status(loaded, read_state(loaded));
  EXPECT_THAT(text, HasSubstr("1000 runs: 250 failed, 250 judged later, 250 running, 250 waiting"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1000 + 4);
  const std::vector<TableRow> rows = make_table(plan, read_state(plan));
  EXPECT_EQ(rows[3].step, 400);
  EXPECT_EQ(rows[3].metric, 0.25);
  EXPECT_EQ(rows[2].note, "broke");
}

TEST(SweepTable, time_left_is_what_the_last_lines_say_and_silence_is_shown) {
  const SweepFolder folder;
  const SweepPlan plan = folder.stored("keys: {model.dropout: [0.0, 0.1]}\n");
  LedgerSession(plan).add(started(plan, 0, 0));
  std::filesystem::create_directories(plan.run_folder(0));
  std::ofstream(plan.run_folder(0) / "metrics.jsonl")
      << "{\"step\":10,\"time\":1000}\n{\"step\":30,\"time\":1040}\n";
  TableRow row = make_table(plan, read_state(plan))[0];
  EXPECT_EQ(row.state, "running");
  EXPECT_DOUBLE_EQ(row.seconds_left, (90 - 30) * 2.0);
  std::filesystem::last_write_time(plan.run_folder(0) / "metrics.jsonl",
                                   std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
  row = make_table(plan, read_state(plan))[0];
  EXPECT_EQ(row.state, "silent");
  EXPECT_THAT(row.note, HasSubstr("wrote nothing for"));
}

TEST(SweepTable, the_leaderboard_puts_who_climbed_higher_first_then_the_better_metric) {
  const SweepFolder folder;
  const SweepPlan plan =
      folder.stored("keys: {model.dropout: [0.0, 0.1, 0.2, 0.3]}\nhalving: {first: 10, keep: 2}\n");
  {
    LedgerSession session(plan);
    for (const auto& [run, metric] : {std::pair(0, 3.0), std::pair(1, 1.0), std::pair(2, 2.0)})
      session.add(result(plan, static_cast<std::size_t>(run), 0, metric));
    session.add(failed(plan, 3, 0));
    session.add({{"event", "decided"}, {"rung", 0}, {"promoted", {plan.runs[1].id, plan.runs[2].id}}});
    session.add(result(plan, 2, 1, 1.5));
  }
  const auto rows = make_leaderboard(plan, read_state(plan));
  EXPECT_EQ(rows[0].run, 2u);
  EXPECT_EQ(rows[1].run, 1u);
  EXPECT_EQ(rows[1].state, "unfinished");
  EXPECT_EQ(rows[2].state, "cut");
  EXPECT_EQ(rows[3].state, "failed");
  collect(plan, read_state(plan));
  EXPECT_THAT(read_file(plan.dir / "leaderboard.csv"),
              HasSubstr(fmt::format("1,{},unfinished,2,20,1.5,0.2\n", plan.runs[2].id)));
  EXPECT_THAT(read_file(plan.dir / "leaderboard.md"), HasSubstr("failed: broke"));
  EXPECT_EQ(nlohmann::json::parse(read_file(plan.dir / "leaderboard.json"))["runs"][2]["metric"], 3.0);
}

}  // namespace
}  // namespace shelfcast::trainer
