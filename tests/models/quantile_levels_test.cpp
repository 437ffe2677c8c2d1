#include "models/series/quantile_levels.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"

namespace shelfcast::models {
namespace {

const std::vector<double> kNine = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9};

void expect_near(const at::Tensor& got, const std::vector<double>& expected) {
  ASSERT_EQ(got.numel(), static_cast<std::int64_t>(expected.size()));
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(got.flatten()[static_cast<std::int64_t>(i)].item<double>(), expected[i], 1e-5) << i;
}

TEST(InterpolateQuantiles, equals_the_published_values_between_and_beyond_the_levels) {
  const at::Tensor values = at::arange(1, 10, at::kFloat);
  expect_near(interpolate_quantiles({0.01, 0.1, 0.15, 0.2, 0.8, 0.87, 0.9, 0.99}, kNine, values),
              {1.0, 1.0, 1.5, 2.0, 8.0, 8.7, 9.0, 9.0});
}

TEST(InterpolateQuantiles, takes_levels_in_any_order_and_uneven_ones_row_by_row) {
  const at::Tensor values = at::tensor({5.0F, 1.0F, 2.0F, 50.0F, 10.0F, 20.0F}).view({2, 3});
  const at::Tensor got = interpolate_quantiles({0.2, 0.75}, {0.9, 0.1, 0.3}, values);
  EXPECT_EQ(got.sizes(), (at::IntArrayRef{2, 2}));
  expect_near(got, {1.5, 2.0 + 0.75 * 3.0, 15.0, 20.0 + 0.75 * 30.0});
}

TEST(InterpolateQuantiles, levels_0_and_1_may_be_given_and_asked_for) {
  const at::Tensor values = at::tensor({3.0F, 4.0F, 8.0F});
  expect_near(interpolate_quantiles({0.0, 0.25, 1.0}, {0.0, 0.5, 1.0}, values), {3.0, 3.5, 8.0});
}

TEST(WeightedQuantiles, read_the_sorted_samples_summed_masses) {
  // Masses 1/8, 1/2, 3/8 of samples 1, 2, 6: sums 0.125, 0.625, 1.
  const at::Tensor samples = at::tensor({6.0F, 1.0F, 2.0F}), weights = at::tensor({3.0F, 1.0F, 4.0F});
  expect_near(weighted_quantiles({0.05, 0.125, 0.375, 0.8125, 1.0}, weights, samples),
              {1.0, 1.0, 1.5, 4.0, 6.0});
}

TEST(WeightedQuantiles, of_equally_likely_samples_do_not_depend_on_their_order_or_unit) {
  at::manual_seed(1);
  const at::Tensor samples = at::randn({4, 30}), weights = at::rand({30}) + 0.1, order = at::randperm(30);
  const at::Tensor a = weighted_quantiles(kNine, weights, samples);
  const at::Tensor b =
      weighted_quantiles(kNine, 7.0 * weights.index_select(0, order), samples.index_select(1, order));
  EXPECT_LT((a - b).abs().max().item<double>(), 1e-4);
  EXPECT_TRUE(((a.diff(1, 1)) >= 0).all().item<bool>());
}

TEST(LevelMasses, are_half_the_distance_between_neighbours_and_sum_to_one) {
  expect_near(level_masses({0.1, 0.5, 0.9}), {0.25 / 0.9, 0.4 / 0.9, 0.25 / 0.9});
}

TEST(RowsOfLevels, are_found_or_none_at_all) {
  EXPECT_EQ(rows_of_levels({0.9, 0.1 + 1e-9}, kNine), (std::vector<std::int64_t>{8, 0}));
  EXPECT_TRUE(rows_of_levels({0.9, 0.95}, kNine).empty());
}

TEST(QuantileLevels, refuse_what_is_not_a_level_and_numbers_that_do_not_fit) {
  const at::Tensor three = at::ones({2, 3});
  EXPECT_THROW(interpolate_quantiles({1.5}, {0.1, 0.2, 0.3}, three), Error);
  EXPECT_THROW(interpolate_quantiles({0.5}, {0.1, 0.2}, three), Error);
  EXPECT_THROW(interpolate_quantiles({}, {0.1, 0.2, 0.3}, three), Error);
  EXPECT_THROW(weighted_quantiles({0.5}, at::tensor({1.0F, 0.0F, 1.0F}), three), Error);
}

}  // namespace
}  // namespace shelfcast::models
