// Heartbeats among threads that play ranks, through memory and over TCP alike.
#include "parallel/heartbeat.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <thread>

#include "base/activity.h"
#include "base/log.h"
#include "parallel/launch.h"

namespace shelfcast::parallel {
namespace {

using namespace std::chrono_literals;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

constexpr Deadlines kPatient{30'000ms, 30'000ms};

// Runs of three ranks, whose output on stderr is kept.
class Heartbeats : public ::testing::TestWithParam<BeatPath> {
 protected:
  using Body = std::function<void(Communicator& world, Heartbeat& heartbeat)>;

  HeartbeatOptions options() const { return {.interval = 50ms, .warn_after = 10s, .path = GetParam()}; }
  // What comes out of a run of 3 ranks; nothing when it ends well.
  std::optional<Error> run(const HeartbeatOptions& options, const Body& body,
                           Deadlines deadlines = kPatient) {
    ::testing::internal::CaptureStderr();
    std::optional<Error> failed;
    try {
      run_ranks_as_threads(
          3,
          [&](Communicator& world) {
            activity::enter_phase("start");
            Heartbeat heartbeat(world, options);
            body(world, heartbeat);
          },
          deadlines);
    } catch (const Error& error) {
      failed = error;
    }
    log_ = ::testing::internal::GetCapturedStderr();
    return failed;
  }
  const std::string& log() const { return log_; }

 private:
  std::string log_;
};

INSTANTIATE_TEST_SUITE_P(Through, Heartbeats, ::testing::Values(BeatPath::automatic, BeatPath::tcp),
                         [](const auto& path) { return path.param == BeatPath::tcp ? "tcp" : "memory"; });

TEST_P(Heartbeats, every_rank_can_ask_what_every_other_does) {
  std::atomic<int> done = 0;
  const auto failed = run(options(), [&](Communicator& world, Heartbeat& heartbeat) {
    activity::enter_phase("validate", 10 + world.rank());
    const activity::Operation operation(activity::Kind::other, "forward");
    std::this_thread::sleep_for(200ms);
    for (int rank = 0; rank < world.size(); ++rank) {
      const RankStatus status = heartbeat.status(rank);
      EXPECT_EQ(status.last.phase, "validate");
      EXPECT_EQ(status.last.step, 10 + rank);
      EXPECT_EQ(status.last.operation, "forward");
    }
    EXPECT_THAT(heartbeat.table(), ContainsRegex("rank 2.*phase validate, step 12"));
    for (++done; done < world.size();) std::this_thread::sleep_for(5ms);
  });
  EXPECT_FALSE(failed) << failed->what();
  EXPECT_EQ(log(), "");
}

TEST_P(Heartbeats, a_reported_failure_comes_out_of_the_others_waits) {
  std::atomic<int> told = 0;
  const auto failed = run(options(), [&](Communicator& world, Heartbeat& heartbeat) {
    activity::enter_phase("train", 120);
    if (world.rank() == 2) {
      heartbeat.report_failure("segment 7 is damaged");
      std::this_thread::sleep_for(300ms);
      throw data_error("segment 7 is damaged");
    }
    try {
      world.barrier("never");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::communication);
      EXPECT_THAT(error.problem(), ContainsRegex("^rank 2.* failed: segment 7 is damaged$"));
      EXPECT_EQ(error.rank, 2);
      EXPECT_EQ(error.step, 120);
      ++told;
      heartbeat.report_failure(error.what());  // an echo, which changes nothing
      throw;
    }
  });
  EXPECT_EQ(told, 2);
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->rank, 2);
}

TEST_P(Heartbeats, one_that_is_destroyed_by_an_error_reports_it) {
  std::atomic<int> told = 0;
  run(options(), [&](Communicator& world, Heartbeat& heartbeat) {
    if (world.rank() == 1) throw data_error("segment 7 is damaged");
    for (int i = 0; i < 200 && !told; ++i) {
      std::this_thread::sleep_for(10ms);
      // Not a wait, so that only the heartbeat can know.
      try {
        heartbeat.status(1);
        world.start_all_reduce(std::span<float>(), "next");
      } catch (const Error&) {
        ++told;
      }
    }
  });
  EXPECT_GE(told, 1);
}

TEST_P(Heartbeats, ranks_may_leave_in_any_order) {
  const auto failed = run(options(), [](Communicator& world, Heartbeat&) {
    world.barrier("done");
    std::this_thread::sleep_for(world.rank() * 150ms);
  });
  EXPECT_FALSE(failed) << failed->what();
  const auto backwards = run(options(), [](Communicator& world, Heartbeat&) {
    world.barrier("done");
    std::this_thread::sleep_for((2 - world.rank()) * 150ms);
  });
  EXPECT_FALSE(backwards) << backwards->what();
  EXPECT_EQ(log(), "");
}

TEST_P(Heartbeats, a_slow_rank_is_waited_for_beyond_the_deadline_with_a_warning) {
  const auto failed = run(options(),
                          [](Communicator& world, Heartbeat&) {
                            world.barrier("begin");
                            activity::enter_phase("train", 3);
                            for (int i = 0; world.rank() == 1 && i < 12; ++i) {
                              std::this_thread::sleep_for(100ms);
                              activity::note_progress();
                            }
                            world.barrier("gradients bucket 0");
                          },
                          {30'000ms, 300ms});
  EXPECT_FALSE(failed) << failed->what();
  EXPECT_THAT(log(),
              ContainsRegex("\"gradients bucket 0\" has waited .* slow rank.*rank 1.*phase train, step 3"));
}

TEST_P(Heartbeats, a_rank_that_is_stuck_is_warned_about_and_named) {
  HeartbeatOptions hasty = options();
  hasty.warn_after = 150ms;
  const auto failed = run(hasty,
                          [](Communicator& world, Heartbeat&) {
                            world.barrier("begin");
                            activity::enter_phase("train", 3);
                            if (world.rank() == 1) std::this_thread::sleep_for(1200ms);
                            world.barrier("gradients bucket 0");
                          },
                          {30'000ms, 400ms});
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->kind(), ErrorKind::timeout) << failed->what();
  EXPECT_THAT(failed->what(), ContainsRegex("rank 1.*: phase train, step 3, computing .no operation."));
  EXPECT_EQ(failed->step, 3);
  EXPECT_THAT(log(), ContainsRegex("rank 1.* is late: .*others wait in \"gradients bucket 0\""));
}

TEST_P(Heartbeats, a_rank_that_never_comes_to_a_wait_is_ended_after_the_grace_time) {
  std::atomic<int> ended = 0;
  HeartbeatOptions counting = options();
  counting.grace = 200ms;
  counting.end_process = [&] { ++ended; };
  run(counting, [&](Communicator& world, Heartbeat& heartbeat) {
    activity::enter_phase("train", 3);
    if (world.rank() == 2) heartbeat.report_failure("segment 7 is damaged");
    for (int i = 0; i < 300 && ended < 2; ++i) std::this_thread::sleep_for(10ms);
    std::this_thread::sleep_for(700ms);  // until what ends processes that cannot even log is done, too
  });
  EXPECT_EQ(ended, 2);  // the reporting rank itself knows, and gets more time
  EXPECT_THAT(log(),
              ContainsRegex("rank 2.* failed: segment 7 is damaged; this rank does not come back from phase "
                            "train, step 3"));
}

TEST_P(Heartbeats, a_stalled_file_is_warned_about_and_then_ends_the_process_and_the_run) {
  std::atomic<int> ended = 0, told = 0;
  HeartbeatOptions hasty = options();
  hasty.warn_after = 150ms;
  hasty.file_deadline = 400ms;
  hasty.end_process = [&] { ++ended; };
  run(hasty, [&](Communicator& world, Heartbeat&) {
    world.barrier("begin");
    activity::enter_phase("save", 9);
    if (world.rank() == 1) {
      const activity::Operation writing(activity::Kind::file, "writing /data/tower.safetensors");
      for (int i = 0; i < 300 && ended == 0; ++i) std::this_thread::sleep_for(10ms);
      std::this_thread::sleep_for(700ms);
      return;
    }
    try {
      world.barrier("all saved");
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), ContainsRegex("rank 1.* failed: the file system does not answer: \"writing "
                                              "/data/tower.safetensors\".*phase save, step 9"));
      ++told;
      throw;
    }
  });
  EXPECT_EQ(told, 2);
  EXPECT_GE(ended, 1);
  EXPECT_THAT(log(), HasSubstr("waiting for the file system"));
}

TEST(Heartbeat, of_a_single_rank_needs_nobody) {
  const auto world = make_single();
  const log::ThreadIdentity identity({0, 1, "n17"});
  activity::enter_phase("backtest", 4);
  Heartbeat heartbeat(*world, {.interval = 20ms});
  EXPECT_EQ(heartbeat.status(0).last.phase, "backtest");
  EXPECT_EQ(heartbeat.status(0).presence, Presence::connected);
  world->barrier("nobody");
}

}  // namespace
}  // namespace shelfcast::parallel
