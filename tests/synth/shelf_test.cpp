#include "data/synth/shelf.h"

#include <gtest/gtest.h>

namespace shelfcast::data {
namespace {

std::vector<double> flat_profile(int steps) {
  std::vector<double> sums;
  for (int t = 0; t <= steps; ++t) sums.push_back(t);
  return sums;
}

ShelfPolicy plain() {
  ShelfPolicy policy;
  policy.review_days = 1;
  policy.lead_days = 3;
  policy.safety = 0.0;
  policy.start_level = 5.0;
  return policy;
}

TEST(Shelf, constant_demand_is_met_and_replaced_exactly) {
  const auto sums = flat_profile(100);
  Shelf shelf(plain(), sums, 0);
  for (std::int64_t t = 0; t < 100; ++t) {
    shelf.open(t);
    const Shelf::Day day = shelf.close(t, 5.0, 0);
    EXPECT_EQ(day.sold, 5.0);
    EXPECT_FALSE(day.cut);
  }
}

TEST(Shelf, an_order_arrives_after_its_lead_time_and_its_delay) {
  const auto sums = flat_profile(100);
  for (const int late : {0, 4}) {
    Shelf shelf(plain(), sums, 0);
    const double first = shelf.open(0);
    shelf.close(0, first, late);  // sells out: everything is ordered again
    std::int64_t arrival = 1;
    while (shelf.open(arrival) == 0.0) shelf.close(arrival++, 0.0, 90 % 9);
    EXPECT_EQ(arrival, 3 + late);
  }
}

TEST(Shelf, demand_beyond_the_shelf_is_cut_to_it) {
  const auto sums = flat_profile(100);
  Shelf shelf(plain(), sums, 0);
  const double stock = shelf.open(0);
  const Shelf::Day day = shelf.close(0, stock + 7.0, 0);
  EXPECT_EQ(day.sold, stock);
  EXPECT_EQ(day.stock, 0.0);
  EXPECT_TRUE(day.cut);
}

TEST(Shelf, orders_are_whole_packs) {
  const auto sums = flat_profile(200);
  ShelfPolicy policy = plain();
  policy.pack = 12.0;
  Shelf shelf(policy, sums, 0);
  double before = shelf.open(0);
  EXPECT_EQ(before, 24.0);  // four days of 5, and a half unit of rounding, in packs of 12
  for (std::int64_t t = 0; t < 100; ++t) {
    const Shelf::Day day = shelf.close(t, 5.0, 0);
    const double delivered = shelf.open(t + 1) - day.stock;
    EXPECT_EQ(delivered - 12.0 * static_cast<int>(delivered / 12.0), 0.0);
  }
}

}  // namespace
}  // namespace shelfcast::data
