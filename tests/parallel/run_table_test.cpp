#include "parallel/run_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "parallel/heartbeat_watch.h"

namespace shelfcast::parallel {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

RankStatus status_of(int rank, double seconds_since_progress, const std::string& waits_in = {}) {
  RankStatus status;
  status.presence = Presence::connected;
  status.last.rank = rank;
  status.last.host = "n17";
  status.last.phase = "train";
  status.last.step = 120;
  status.last.operation = waits_in;
  status.last.kind = activity::Kind::ranks;
  status.last.operation_seconds = seconds_since_progress;
  status.last.seconds_since_progress = seconds_since_progress;
  status.beat_age = 0.5;
  return status;
}

TEST(RankStatus, says_rank_host_phase_step_and_operation) {
  EXPECT_EQ(
      describe(status_of(3, 11.5, "gradients bucket 0")),
      "rank 3 on n17: phase train, step 120, in \"gradients bucket 0\" for 12.0 s, no progress for 12.0 s, "
      "last heartbeat 0.5 s ago");
}

TEST(RankStatus, a_rank_without_operation_computes) {
  EXPECT_EQ(describe(status_of(3, 11.5)),
            "rank 3 on n17: phase train, step 120, computing (no operation), no progress for 12.0 s, last "
            "heartbeat 0.5 s ago");
}

TEST(RankStatus, a_silent_rank_is_told_from_one_that_never_spoke_or_has_ended) {
  RankStatus status = status_of(3, 1.0);
  status.silent = true;
  status.beat_age = 14.2;
  EXPECT_EQ(
      describe(status),
      "rank 3 on n17: no heartbeat for 14.2 s (process stopped, host lost or network cut), before that in "
      "phase train, step 120, computing (no operation)");
  status.presence = Presence::unknown;
  EXPECT_THAT(describe(status), HasSubstr("no heartbeat has ever come"));
  status.presence = Presence::ended;
  EXPECT_THAT(describe(status), HasSubstr("goodbye"));
  status.presence = Presence::gone;
  EXPECT_THAT(describe(status), HasSubstr("its process has ended"));
}

TEST(RankStatus, the_error_of_a_lost_process_has_place_and_step) {
  const Error error = gone_error(status_of(1, 0.0, "loss"));
  EXPECT_EQ(error.rank, 1);
  EXPECT_EQ(error.host, "n17");
  EXPECT_EQ(error.step, 120);
  EXPECT_STREQ(
      error.what(),
      "rank 1 on n17 is gone (its process ended without a goodbye; last seen 0.5 s ago in phase train, "
      "step 120, in \"loss\" for 0.5 s) - look at its log and at the kernel's log for an out-of-memory "
      "kill");
}

TEST(WaitJudgement, a_rank_that_made_progress_within_the_deadline_gets_what_is_left_of_it) {
  const std::vector<RankStatus> run = {status_of(0, 10.0, "loss"), status_of(1, 3.5)};
  const auto verdict = judge_wait(run, std::vector{1}, 10s, 1s);
  EXPECT_GE(verdict.extension, 7s);
  EXPECT_LE(verdict.extension, 7100ms);
}

TEST(WaitJudgement, a_rank_without_progress_for_the_deadline_is_not_waited_for) {
  const std::vector<RankStatus> run = {status_of(0, 10.0, "loss"), status_of(1, 11.0)};
  const auto verdict = judge_wait(run, std::vector{1}, 10s, 1s);
  EXPECT_EQ(verdict.extension, 0s);
  EXPECT_THAT(verdict.text, HasSubstr("rank 1 on n17: phase train, step 120, computing"));
}

TEST(WaitJudgement, one_stuck_rank_among_slow_ones_ends_the_wait) {
  const std::vector<RankStatus> run = {status_of(0, 10.0, "loss"), status_of(1, 0.0), status_of(2, 20.0)};
  EXPECT_EQ(judge_wait(run, std::vector{1, 2}, 10s, 1s).extension, 0s);
}

TEST(WaitJudgement, a_rank_that_waits_itself_is_waited_for_while_anybody_makes_progress) {
  std::vector<RankStatus> run = {status_of(0, 30.0, "loss"), status_of(1, 30.0, "pair"), status_of(2, 1.0)};
  EXPECT_GT(judge_wait(run, std::vector{1}, 10s, 1s).extension, 0s);
  run[2] = status_of(2, 30.0, "other pair");
  EXPECT_EQ(judge_wait(run, std::vector{1}, 10s, 1s).extension, 0s);
}

TEST(WaitJudgement, silent_lost_and_unknown_ranks_are_not_waited_for) {
  std::vector<RankStatus> run = {status_of(0, 10.0, "loss"), status_of(1, 0.0)};
  run[1].silent = true;
  EXPECT_EQ(judge_wait(run, std::vector{1}, 10s, 1s).extension, 0s);
  run[1].silent = false;
  for (const Presence presence : {Presence::unknown, Presence::ended, Presence::gone}) {
    run[1].presence = presence;
    EXPECT_EQ(judge_wait(run, std::vector{1}, 10s, 1s).extension, 0s);
  }
}

TEST(WaitJudgement, of_nobody_named_is_about_those_who_do_not_wait_themselves) {
  std::vector<RankStatus> run = {status_of(0, 20.0, "bucket"), status_of(1, 20.0, "bucket"),
                                 status_of(2, 4.0)};
  const auto slow = judge_wait(run, {}, 10s, 1s);
  EXPECT_GE(slow.extension, 6s);
  EXPECT_LE(slow.extension, 6600ms);
  run[2] = status_of(2, 12.0);
  const auto stuck = judge_wait(run, {}, 10s, 1s);
  EXPECT_EQ(stuck.extension, 0s);
  EXPECT_THAT(stuck.text, HasSubstr("rank 2 on"));
  EXPECT_THAT(stuck.text, testing::Not(HasSubstr("rank 1 on")));
  run[2] = status_of(2, 12.0, "bucket");  // all wait for each other, and nothing moves
  EXPECT_EQ(judge_wait(run, {}, 10s, 1s).extension, 0s);
  run[2].silent = true;
  EXPECT_THAT(judge_wait(run, {}, 10s, 1s).text, HasSubstr("rank 2 on"));
}

TEST(WaitJudgement, names_no_more_ranks_than_can_be_read) {
  std::vector<RankStatus> run;
  for (int rank = 0; rank < 100; ++rank) run.push_back(status_of(rank, 30.0));
  const std::string text = judge_wait(run, {}, 10s, 1s).text;
  EXPECT_THAT(text, HasSubstr("and 92 more"));
  EXPECT_THAT(text, testing::Not(HasSubstr("rank 50 ")));
}

TEST(LateRanks, are_warned_about_once_and_at_doubling_intervals) {
  LateRanks late(30s);
  const auto look = [&](double seconds) {
    return late.look(std::vector{status_of(0, seconds, "gradients bucket 0"), status_of(1, seconds)});
  };
  EXPECT_THAT(look(29.0), IsEmpty());
  EXPECT_THAT(look(30.5),
              ElementsAre("rank 1 on n17 is late: 31 s without progress in phase train, step 120, "
                          "computing (no operation); others wait in \"gradients bucket 0\""));
  EXPECT_THAT(look(59.0), IsEmpty());
  EXPECT_THAT(look(60.0), ElementsAre(HasSubstr("late: 60 s")));
  EXPECT_THAT(look(119.0), IsEmpty());
  EXPECT_THAT(look(0.0), IsEmpty());
  EXPECT_THAT(look(31.0), ElementsAre(HasSubstr("late: 32 s")));
}

TEST(LateRanks, are_not_worth_a_word_while_nobody_waits_or_when_they_wait_themselves) {
  LateRanks late(30s);
  EXPECT_THAT(late.look(std::vector{status_of(0, 100.0), status_of(1, 100.0)}), IsEmpty());
  EXPECT_THAT(late.look(std::vector{status_of(0, 100.0, "a"), status_of(1, 100.0, "b")}), IsEmpty());
}

TEST(LateRanks, that_have_fallen_silent_are_named_as_such) {
  LateRanks late(30s);
  std::vector<RankStatus> run = {status_of(0, 40.0, "loss"), status_of(1, 1.0, "loss")};
  run[1].silent = true;
  run[1].beat_age = 40.0;
  EXPECT_THAT(late.look(run), ElementsAre(HasSubstr("rank 1 on n17: no heartbeat for 40.0 s")));
}

TEST(StalledFiles, are_warned_about_at_doubling_intervals) {
  StalledFiles files(30s);
  activity::Snapshot own;
  EXPECT_FALSE(files.look(own));
  own.longest_file = activity::Running{activity::Kind::file, "reading /data/a.h5", 31.0};
  EXPECT_EQ(files.look(own), "waiting for the file system for 31 s: reading /data/a.h5 (it stalls)");
  EXPECT_FALSE(files.look(own));
  own.longest_file->seconds = 61.0;
  EXPECT_TRUE(files.look(own));
}

TEST(RunTable, keeps_the_first_failure) {
  RunTable table({"a", "b"}, BeatSource::messages, 1s);
  EXPECT_FALSE(table.failure());
  EXPECT_TRUE(table.fail(input_error("first")));
  EXPECT_FALSE(table.fail(input_error("second")));
  EXPECT_EQ(table.failure()->problem(), "first");
}

TEST(RunTable, ignores_ranks_the_run_does_not_have) {
  RunTable table({"a"}, BeatSource::messages, 1s);
  Beat beat;
  for (const int rank : {-1, 1}) {
    beat.rank = rank;
    table.record(beat);
    table.record(Table{{{.beat = beat, .presence = Presence::gone}}});
  }
  EXPECT_EQ(table.status(0).presence, Presence::unknown);
}

TEST(RunTable, travels_whole_to_another_rank) {
  RunTable hub({"a", "b"}, BeatSource::messages, 1s), spoke({"a", "b"}, BeatSource::messages, 1s);
  Beat beat{.rank = 1, .host = "b", .phase = "save", .step = 7, .operation = "reading x", .progress = 12};
  hub.record(beat);
  const auto message = decode(encode(hub.to_send()));
  spoke.record(std::get<Table>(message));
  EXPECT_EQ(spoke.tables(), 1u);
  EXPECT_EQ(spoke.status(1).last.operation, "reading x");
  EXPECT_EQ(spoke.status(1).last.progress, 12u);
  EXPECT_EQ(spoke.status(1).presence, Presence::connected);
  EXPECT_EQ(spoke.status(0).presence, Presence::unknown);
}

}  // namespace
}  // namespace shelfcast::parallel
