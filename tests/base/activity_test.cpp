#include "base/activity.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "base/log.h"

namespace shelfcast {
namespace {

using namespace std::chrono_literals;
using activity::Kind;
using activity::Operation;

TEST(Activity, a_rank_that_said_nothing_has_no_phase_and_is_not_late) {
  const activity::Snapshot shot = activity::snapshot(1001);
  EXPECT_EQ(shot.phase, "");
  EXPECT_EQ(shot.step, -1);
  EXPECT_FALSE(shot.operation);
  EXPECT_EQ(shot.progress, 0u);
  EXPECT_EQ(shot.seconds_since_progress, 0.0);
}

TEST(Activity, ranks_that_are_threads_are_kept_apart) {
  std::vector<std::jthread> threads;
  for (int rank = 1010; rank < 1013; ++rank)
    threads.emplace_back([rank] {
      const log::ThreadIdentity identity({rank, 3, ""});
      activity::enter_phase("train", rank);
    });
  threads.clear();
  for (int rank = 1010; rank < 1013; ++rank) {
    EXPECT_EQ(activity::snapshot(rank).phase, "train");
    EXPECT_EQ(activity::snapshot(rank).step, rank);
  }
}

TEST(Activity, the_innermost_operation_is_shown_and_the_outer_one_again_after_it) {
  const log::ThreadIdentity identity({1020, 1, ""});
  activity::enter_phase("save", 7);
  const Operation outer(Kind::other, "checkpoint 7");
  {
    const Operation inner(Kind::ranks, "all saved");
    const auto shown = activity::snapshot(1020).operation;
    ASSERT_TRUE(shown);
    EXPECT_EQ(shown->what, "all saved");
    EXPECT_EQ(shown->kind, Kind::ranks);
  }
  EXPECT_EQ(activity::snapshot(1020).operation->what, "checkpoint 7");
}

TEST(Activity, every_sign_of_life_counts_as_progress) {
  const log::ThreadIdentity identity({1030, 1, ""});
  std::uint64_t before = activity::snapshot(1030).progress;
  const auto advanced = [&before] {
    const std::uint64_t now = activity::snapshot(1030).progress;
    return std::exchange(before, now) < now;
  };
  activity::enter_phase("train", 1);
  EXPECT_TRUE(advanced());
  activity::note_progress();
  EXPECT_TRUE(advanced());
  {
    const Operation wait(Kind::ranks, "loss");
    EXPECT_TRUE(advanced());
  }
  EXPECT_TRUE(advanced());
  EXPECT_FALSE(advanced());
}

TEST(Activity, ages_grow_until_something_happens) {
  const log::ThreadIdentity identity({1040, 1, ""});
  activity::enter_phase("train", 1);
  const Operation reading(Kind::file, "reading a.h5");
  std::this_thread::sleep_for(30ms);
  EXPECT_GE(activity::snapshot(1040).seconds_since_progress, 0.03);
  EXPECT_GE(activity::snapshot(1040).operation->seconds, 0.03);
  activity::note_progress();
  EXPECT_LT(activity::snapshot(1040).seconds_since_progress, 0.03);
  EXPECT_GE(activity::snapshot(1040).operation->seconds, 0.03);
}

TEST(Activity, file_operations_of_helper_threads_are_seen_but_are_not_what_the_rank_is_in) {
  const log::ThreadIdentity identity({1050, 1, ""});
  activity::enter_phase("train", 1);
  std::atomic<bool> reading = false, done = false;
  std::jthread reader([&] {
    const log::ThreadIdentity helper({1050, 1, ""});
    const Operation slow(Kind::file, "reading b.h5");
    const Operation quick(Kind::file, "reading c.h5");
    reading = true;
    while (!done) std::this_thread::sleep_for(1ms);
  });
  while (!reading) std::this_thread::sleep_for(1ms);
  const activity::Snapshot shot = activity::snapshot(1050);
  done = true;
  EXPECT_FALSE(shot.operation);
  ASSERT_TRUE(shot.longest_file);
  EXPECT_EQ(shot.longest_file->what, "reading b.h5");
}

TEST(Activity, snapshots_may_be_taken_while_threads_come_and_go) {
  std::atomic<bool> done = false;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      const log::ThreadIdentity identity({1060, 1, ""});
      for (int step = 0; !done; ++step) {
        activity::enter_phase("train", step);
        const Operation outer(Kind::ranks, "a label that is longer than a short string may be");
        const Operation inner(Kind::file, "x");
      }
    });
  for (int i = 0; i < 200; ++i) EXPECT_LT(activity::snapshot(1060).seconds_since_progress, 60.0);
  done = true;
}

}  // namespace
}  // namespace shelfcast
