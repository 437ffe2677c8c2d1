#include "eval/significance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace shelfcast::eval {
namespace {

Comparison compare_pairs(const std::vector<double>& sums, std::int64_t resamples = 1000) {
  return compare(sums, resampled_totals(sums, 2, resamples, 11), 2, 0, 1);
}

TEST(Significance, a_constant_ratio_has_an_interval_of_no_width) {
  std::vector<double> sums;
  for (int i = 1; i <= 50; ++i) sums.insert(sums.end(), {0.8 * i, 1.0 * i});
  const Comparison comparison = compare_pairs(sums);
  EXPECT_NEAR(*comparison.difference, -0.2, 1e-12);
  EXPECT_NEAR(*comparison.low, -0.2, 1e-12);
  EXPECT_NEAR(*comparison.high, -0.2, 1e-12);
  EXPECT_EQ(comparison.verdict, Verdict::better);
  EXPECT_EQ(comparison.series, 50);
}

TEST(Significance, equal_errors_are_no_win) {
  std::vector<double> sums;
  for (int i = 1; i <= 50; ++i) sums.insert(sums.end(), {1.0 * i, 1.0 * i});
  EXPECT_EQ(compare_pairs(sums).verdict, Verdict::unclear);
}

TEST(Significance, a_win_that_rests_on_one_series_is_unclear) {
  std::vector<double> sums;
  for (int i = 0; i < 30; ++i) sums.insert(sums.end(), {1.0, 1.0});
  sums.insert(sums.end(), {1.0, 10.0});
  const Comparison comparison = compare_pairs(sums);
  EXPECT_LT(*comparison.difference, -0.2);
  EXPECT_EQ(*comparison.high, 0.0);  // resamples without that series
  EXPECT_EQ(comparison.verdict, Verdict::unclear);
}

TEST(Significance, mirrors_when_model_and_baseline_change_places) {
  std::vector<double> sums;
  for (int i = 1; i <= 40; ++i) sums.insert(sums.end(), {1.5 * i + (i % 3), 1.0 * i});
  const auto totals = resampled_totals(sums, 2, 500, 3);
  EXPECT_EQ(compare(sums, totals, 2, 0, 1).verdict, Verdict::worse);
  EXPECT_EQ(compare(sums, totals, 2, 1, 0).verdict, Verdict::better);
}

TEST(Significance, interval_has_the_width_normal_theory_gives) {
  // Paired differences of the sums are independent with variance 0.25 and the baseline is 10 everywhere: the
  // relative difference has standard error 0.5 / (10 sqrt(n)).
  std::mt19937 random(5);
  std::normal_distribution<double> normal(0, 0.5);
  std::vector<double> sums;
  constexpr int kSeries = 2000;
  for (int i = 0; i < kSeries; ++i) sums.insert(sums.end(), {10.0 + normal(random), 10.0});
  const Comparison comparison = compare_pairs(sums, 4000);
  const double half_width = 1.96 * 0.05 / std::sqrt(kSeries);
  EXPECT_NEAR(*comparison.high - *comparison.low, 2 * half_width, 0.08 * 2 * half_width);
}

TEST(Significance, covers_no_difference_about_95_times_in_100) {
  std::mt19937 random(17);
  std::gamma_distribution<double> gamma(2, 1);
  int covered = 0;
  constexpr int kTrials = 400;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::vector<double> sums;
    for (int i = 0; i < 100; ++i) sums.insert(sums.end(), {gamma(random), gamma(random)});
    const Comparison c =
        compare(sums, resampled_totals(sums, 2, 300, static_cast<std::uint64_t>(trial)), 2, 0, 1);
    covered += c.verdict == Verdict::unclear ? 1 : 0;
  }
  EXPECT_NEAR(covered / static_cast<double>(kTrials), 0.95, 0.04);
}

TEST(Significance, ends_of_intervals_lie_further_out_where_series_are_few) {
  // Of scipy: norm.cdf(-sqrt(n / (n - 1)) * t.ppf(0.975, n - 1)).
  EXPECT_NEAR(outer_share(6), 0.0024318031746115667, 1e-12);
  EXPECT_NEAR(outer_share(20), 0.015880829920347974, 1e-12);
  EXPECT_NEAR(outer_share(1115), 0.024824468388357838, 1e-12);
  EXPECT_NEAR(outer_share(100'000'000), 0.025, 1e-7);
}

TEST(Significance, few_series_rarely_tell_what_is_not_there) {
  std::mt19937 random(17);
  std::gamma_distribution<double> gamma(2, 1);
  constexpr int kTrials = 600;
  for (const int series : {2, 5, 6, 8, 12}) {
    int called = 0;
    for (int trial = 0; trial < kTrials; ++trial) {
      std::vector<double> sums;
      for (int i = 0; i < series; ++i) sums.insert(sums.end(), {gamma(random), gamma(random)});
      const Comparison c =
          compare(sums, resampled_totals(sums, 2, 1000, static_cast<std::uint64_t>(trial)), 2, 0, 1);
      EXPECT_EQ(c.low.has_value(), series >= kLeastSeries);
      called += c.verdict != Verdict::unclear;
    }
    EXPECT_LT(called, 0.08 * kTrials) << series;
  }
}

TEST(Significance, draws_are_the_same_every_time_and_shared_by_all_columns) {
  std::vector<double> sums;
  for (int i = 0; i < 20; ++i) sums.insert(sums.end(), {1.0 * i, 3.0 * i});
  const auto totals = resampled_totals(sums, 2, 50, 9);
  EXPECT_EQ(totals, resampled_totals(sums, 2, 50, 9));
  EXPECT_NE(totals, resampled_totals(sums, 2, 50, 10));
  for (std::size_t r = 0; r < 50; ++r) EXPECT_DOUBLE_EQ(totals[2 * r + 1], 3 * totals[2 * r]);
  // Draw r does not depend on how many there are.
  const auto fewer = resampled_totals(sums, 2, 10, 9);
  EXPECT_TRUE(std::equal(fewer.begin(), fewer.end(), totals.begin()));
}

TEST(Significance, has_nothing_to_say_without_series_resamples_or_baseline_errors) {
  EXPECT_FALSE(compare_pairs({}).difference);
  EXPECT_FALSE(compare_pairs({1, 0, 2, 0}).difference);
  const Comparison one_series = compare_pairs({1, 2});
  EXPECT_DOUBLE_EQ(*one_series.difference, -0.5);
  EXPECT_FALSE(one_series.low);
  EXPECT_EQ(one_series.verdict, Verdict::unclear);
  EXPECT_EQ(compare_pairs({1, 2, 1, 2}, 0).verdict, Verdict::unclear);
}

TEST(Significance, sample_quantiles_interpolate_between_order_statistics) {
  std::vector<double> values{4, 1, 3, 2, 5};
  EXPECT_DOUBLE_EQ(sample_quantile(values, 0.0), 1);
  EXPECT_DOUBLE_EQ(sample_quantile(values, 0.5), 3);
  EXPECT_DOUBLE_EQ(sample_quantile(values, 0.125), 1.5);
  EXPECT_DOUBLE_EQ(sample_quantile(values, 1.0), 5);
}

}  // namespace
}  // namespace shelfcast::eval
