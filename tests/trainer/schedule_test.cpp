#include "trainer/recipe/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/safetensors.h"
#include "tests/support/paths.h"

namespace shelfcast::trainer {
namespace {

TEST(Schedule, warms_up_linearly_and_never_starts_at_zero) {
  const ScheduleConfig config{"cosine", 9};
  for (int step = 0; step < 9; ++step)
    EXPECT_DOUBLE_EQ(schedule_factor(config, step, 100), (step + 1) / 10.0);
  EXPECT_DOUBLE_EQ(schedule_factor(config, 9, 100), 1.0);
}

TEST(Schedule, follows_its_closed_forms_after_the_warmup) {
  EXPECT_DOUBLE_EQ(schedule_factor({"constant", 0}, 77, 100), 1.0);
  EXPECT_DOUBLE_EQ(schedule_factor({"linear", 0}, 25, 100), 0.75);
  EXPECT_NEAR(schedule_factor({"cosine", 0}, 50, 100), 0.5, 1e-12);
  EXPECT_NEAR(schedule_factor({"cosine", 20}, 40, 100), 0.5 * (1 + std::cos(M_PI / 4)), 1e-12);
  EXPECT_NEAR(schedule_factor({"cosine", 0}, 100, 100), 0.0, 1e-12);
}

// Files of tests/golden/make_optimizers.py.
TEST(Schedule, equals_transformers_which_counts_from_a_step_of_rate_zero) {
  const SafetensorsFile golden(shelfcast::testing::source_dir() / "tests/golden/optimizers.safetensors");
  for (const std::string name : {"constant", "linear", "cosine"}) {
    const std::vector<float> factors = golden.at("schedule." + name).to_float();
    ASSERT_EQ(factors.size(), 40U);
    for (std::size_t step = 0; step < factors.size(); ++step)
      EXPECT_NEAR(schedule_factor({name, 7}, static_cast<std::int64_t>(step), 40), factors[step], 1e-6)
          << name << " " << step;
  }
}

TEST(Schedule, stands_at_zero_beyond_the_budget_and_copes_with_a_warmup_as_long_as_the_run) {
  EXPECT_EQ(schedule_factor({"linear", 0}, 200, 100), 0.0);
  EXPECT_GT(schedule_factor({"linear", 100}, 99, 100), 0.9);
}

}  // namespace
}  // namespace shelfcast::trainer
