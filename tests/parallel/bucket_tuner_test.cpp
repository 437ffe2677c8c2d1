#include "parallel/bucket_tuner.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>

namespace shelfcast::parallel {
namespace {

// Runs the tuner on steps that take what `seconds` says of (megabytes, step); returns the steps it took.
int tune(BucketTuner& tuner, const std::function<double(std::int64_t, int)>& seconds) {
  int step = 0;
  for (; !tuner.done(); ++step) tuner.add(seconds(tuner.megabytes(), step));
  return step;
}

TEST(BucketTuner, the_size_of_the_shortest_steps_wins) {
  BucketTuner tuner(1'000'000'000);
  tune(tuner, [](std::int64_t megabytes, int) { return megabytes == 10 ? 1.0 : 1.1; });
  EXPECT_EQ(tuner.megabytes(), 10);
}

TEST(BucketTuner, of_sizes_that_do_as_well_the_largest_wins) {
  BucketTuner tuner(1'000'000'000);
  tune(tuner, [](std::int64_t megabytes, int) {
    return megabytes <= 25 ? 1.0 + 0.001 * static_cast<double>(megabytes % 3) : 2.0;
  });
  EXPECT_EQ(tuner.megabytes(), 25);
}

TEST(BucketTuner, single_slow_steps_and_the_first_round_do_not_count) {
  BucketTuner tuner(1'000'000'000);
  tune(tuner, [](std::int64_t megabytes, int step) {
    if (step < 6) return megabytes == 5 ? 100.0 : 1.0;  // the first of everything
    if (step % 11 == 0) return 50.0;                    // a hiccup
    return megabytes == 5 ? 1.0 : 1.5;
  });
  EXPECT_EQ(tuner.megabytes(), 5);
}

TEST(BucketTuner, a_slow_start_beside_two_slow_steps_of_five_is_forgiven) {
  BucketTuner tuner(1'000'000'000);
  int turn = 0;
  tune(tuner, [&](std::int64_t megabytes, int) {
    if (megabytes != 5) return 1.5;
    ++turn;
    if (turn == 1) return 100.0;  // would make three slow ones of six
    return turn <= 3 ? 50.0 : 1.0;
  });
  EXPECT_EQ(tuner.megabytes(), 5);
}

TEST(BucketTuner, half_a_hundredth_more_is_as_good) {
  BucketTuner tuner(1'000'000'000);
  tune(tuner, [](std::int64_t megabytes, int) {
    if (megabytes == 25) return 1.005;
    return megabytes < 25 ? 1.0 : 1.02;
  });
  EXPECT_EQ(tuner.megabytes(), 25);
}

TEST(BucketTuner, a_machine_that_becomes_slower_is_unfair_to_no_size) {
  BucketTuner tuner(1'000'000'000);
  tune(tuner, [](std::int64_t megabytes, int step) {
    return (megabytes == 150 ? 0.95 : 1.0) * (1.0 + 0.01 * step);
  });
  EXPECT_EQ(tuner.megabytes(), 150);
}

TEST(BucketTuner, sizes_beyond_the_gradients_are_not_tried) {
  BucketTuner tuner(7'000'000);
  std::set<std::int64_t> tried;
  const int steps = tune(tuner, [&](std::int64_t megabytes, int) {
    tried.insert(megabytes);
    return 1.0;
  });
  EXPECT_EQ(tried, (std::set<std::int64_t>{2, 5, 10}));
  EXPECT_EQ(steps, 18);
}

}  // namespace
}  // namespace shelfcast::parallel
