#include "eval/profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace shelfcast::eval {
namespace {

using ::testing::ElementsAre;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

DemandClass class_of(const std::vector<float>& demand) {
  return demand_class(profile_of(demand, std::ssize(demand)));
}

TEST(Profile, counts_observed_steps_from_the_first_demand_to_the_cut_off) {
  const std::vector<float> demand{0, kNan, 0, 4, kNan, 0, 2, 100, 100};
  const SeriesProfile profile = profile_of(demand, 7);
  EXPECT_EQ(profile.steps, 3);
  EXPECT_EQ(profile.demands, 2);
  EXPECT_EQ(profile.size, 6);
  EXPECT_EQ(profile.squares, 20);
  EXPECT_EQ(profile.age, 4);
  const SeriesProfile none = profile_of(demand, 3);
  EXPECT_EQ(none.steps + none.demands + none.size + none.squares + none.age, 0);
}

TEST(Profile, does_not_look_at_or_after_the_cut_off) {
  std::vector<float> demand{0, 3, 1, 2, 5, 5};
  const SeriesProfile before = profile_of(demand, 4);
  demand[4] = demand[5] = 1e6F;
  EXPECT_EQ(profile_of(demand, 4).size, before.size);
}

TEST(DemandClass, follows_the_published_borders) {
  EXPECT_EQ(class_of({5, 6, 5, 6, 5}), DemandClass::smooth);
  EXPECT_EQ(class_of({5, 0, 6, 0, 5}), DemandClass::intermittent);  // a demand every 5 / 3 steps
  EXPECT_EQ(class_of({1, 1, 1, 9, 1}), DemandClass::erratic);
  EXPECT_EQ(class_of({1, 0, 0, 9, 1}), DemandClass::lumpy);
  EXPECT_EQ(class_of({0, 0, kNan}), DemandClass::none);
  // Leading zeros are before the series' life: 25 demands in 33 steps are an interval of 1.32, in 32 less.
  std::vector<float> demand(10, 0.0F);
  demand.insert(demand.end(), 25, 3.0F);
  demand.insert(demand.end(), 7, 0.0F);
  EXPECT_EQ(class_of(demand), DemandClass::smooth);
  demand.push_back(0.0F);
  EXPECT_EQ(class_of(demand), DemandClass::intermittent);
  // Sizes 0.3 and 1.7 have a mean of 1 and a variance of 0.49.
  EXPECT_EQ(demand_class({2, 2, 2, 2 * 1.49, 2}), DemandClass::erratic);
  EXPECT_EQ(demand_class({2, 2, 2, 2 * 1.489, 2}), DemandClass::smooth);
}

TEST(ProfileGroups, put_every_series_into_one_level_and_keep_empty_ones) {
  std::vector<SeriesProfile> profiles(23);
  for (std::size_t s = 0; s < 20; ++s)  // rates 20, 19, ..., 1
    profiles[s] = {10, 10, 10.0 * static_cast<double>(20 - s), 1e6, static_cast<double>(3 * s + 1)};
  const Grouping volume = group_by_profile("volume", profiles, 28);
  ASSERT_EQ(volume.levels.size(), 11U);
  EXPECT_EQ(volume.levels[0], "1 (smallest)");
  EXPECT_EQ(volume.levels[9], "10 (largest)");
  for (std::size_t s = 0; s < 20; ++s) EXPECT_EQ(volume.level_of[s], 9 - s / 2) << s;
  EXPECT_EQ(volume.level_of[22], 10U);  // no demand yet

  const Grouping age = group_by_profile("age", profiles, 14);
  EXPECT_THAT(age.levels, ElementsAre("established", "new"));
  for (std::size_t s = 0; s < 20; ++s) EXPECT_EQ(age.level_of[s], 3 * s + 1 < 28 ? 1U : 0U) << s;
  EXPECT_EQ(age.level_of[22], 1U);

  const Grouping classes = group_by_profile("demand_class", profiles, 28);
  EXPECT_THAT(classes.levels, ElementsAre("smooth", "intermittent", "erratic", "lumpy", "no demand yet"));
  EXPECT_EQ(classes.level_of.size(), profiles.size());
}

}  // namespace
}  // namespace shelfcast::eval
