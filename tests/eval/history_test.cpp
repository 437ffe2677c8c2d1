#include "eval/history.h"

#include <gtest/gtest.h>

#include <cmath>

namespace shelfcast::eval {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(SeasonalScales, are_means_over_the_history_before_each_origin) {
  const std::vector<float> demand{1, 4, 2, 8, 0, 1};
  const std::vector<std::int64_t> origins{3, 5, 6};
  const auto naive = seasonal_scales(demand, 1, origins);
  EXPECT_DOUBLE_EQ(naive[0].absolute, (3 + 2) / 2.0);
  EXPECT_DOUBLE_EQ(naive[1].absolute, (3 + 2 + 6 + 8) / 4.0);
  EXPECT_DOUBLE_EQ(naive[2].absolute, (3 + 2 + 6 + 8 + 1) / 5.0);
  EXPECT_DOUBLE_EQ(naive[0].squared, (9 + 4) / 2.0);
  EXPECT_DOUBLE_EQ(naive[1].squared, (9 + 4 + 36 + 64) / 4.0);
  const auto seasonal = seasonal_scales(demand, 2, origins);
  EXPECT_DOUBLE_EQ(seasonal[0].absolute, 1);
  EXPECT_DOUBLE_EQ(seasonal[1].absolute, (1 + 4 + 2) / 3.0);
}

TEST(SeasonalScales, do_not_look_at_or_after_the_origin) {
  std::vector<float> demand{1, 4, 2, 8, 0, 1};
  const std::vector<std::int64_t> origin{3};
  const double before = seasonal_scales(demand, 1, origin)[0].absolute;
  for (std::size_t t = 3; t < demand.size(); ++t) demand[t] = 1e9F;
  EXPECT_EQ(seasonal_scales(demand, 1, origin)[0].absolute, before);
}

TEST(SeasonalScales, take_pairs_of_observed_steps_only) {
  const std::vector<float> demand{1, kNan, 2, 5};
  const std::vector<std::int64_t> origins{1, 2, 4};
  const auto scales = seasonal_scales(demand, 1, origins);
  EXPECT_TRUE(std::isnan(scales[0].absolute));  // no pair yet
  EXPECT_TRUE(std::isnan(scales[1].absolute));
  EXPECT_DOUBLE_EQ(scales[2].absolute, 3);
}

TEST(SeasonalScales, of_a_constant_series_are_0) {
  const std::vector<float> demand(20, 3.0F);
  const std::vector<std::int64_t> origins{10};
  EXPECT_EQ(seasonal_scales(demand, 7, origins)[0].absolute, 0.0);
}

}  // namespace
}  // namespace shelfcast::eval
