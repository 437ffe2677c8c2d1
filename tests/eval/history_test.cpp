#include "eval/history.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/eval/small_panel.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast::eval {
namespace {

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

// Flags that ingest averaged over the days of a week, say.
TEST(HistoryReader, hides_steps_that_are_mostly_cut_as_the_loader_does) {
  SmallPanel panel = make_small_panel();
  const std::vector<float> flags{0.0F, 0.4F, 0.6F, 1.0F, kNan};
  for (std::size_t cell = 0; cell < panel.traffic.size(); ++cell)
    panel.traffic[cell] = flags[cell % flags.size()];
  const shelfcast::testing::TemporaryFolder folder;
  write_panel(panel, folder.path() / "c");
  HistoryReader reader((folder.path() / "c").string(), "traffic", 7, {});
  reader.load(0, 1);
  for (std::int64_t t = 0; t < panel.demand_end; ++t) {
    const float flag = panel.traffic[static_cast<std::size_t>(t)];
    EXPECT_EQ(std::isnan(reader.demand(0)[static_cast<std::size_t>(t)]), flag == 0.6F || flag == 1.0F) << t;
  }
}

}  // namespace
}  // namespace shelfcast::eval
