#include "scorer/orders/marginal.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/random.h"
#include "scorer/orders/normal.h"

namespace shelfcast::scorer {
namespace {

const std::vector<double> kLevels = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9};

// Published to 16 digits (for instance NIST's engineering statistics handbook).
TEST(Normal, quantiles_have_their_tabled_values) {
  EXPECT_NEAR(normal_quantile(0.5), 0.0, 1e-15);
  EXPECT_NEAR(normal_quantile(0.9), 1.2815515655446004, 1e-13);
  EXPECT_NEAR(normal_quantile(0.975), 1.959963984540054, 1e-13);
  EXPECT_NEAR(normal_quantile(0.01), -2.3263478740408408, 1e-13);
  EXPECT_NEAR(normal_quantile(1e-9), -5.997807015008182, 1e-10);
}

TEST(Normal, quantile_and_cdf_are_inverse) {
  for (double p = 1e-7; p < 1.0; p += 0.00131) EXPECT_NEAR(normal_cdf(normal_quantile(p)), p, 1e-14);
}

TEST(Marginal, meets_its_quantiles_and_joins_them_by_straight_lines) {
  const std::vector<float> values = {1, 2, 4, 5, 6, 8, 9, 11, 15};
  const Marginal marginal(kLevels, values);
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(marginal.quantile(kLevels[i]), values[i], 1e-9);
  EXPECT_NEAR(marginal.quantile(0.25), 3.0, 1e-9);
  EXPECT_NEAR(marginal.cdf(3.0), 0.25, 1e-9);
}

TEST(Marginal, upper_tail_is_exact_for_exponential_demand) {
  std::vector<float> values;
  for (const double level : kLevels) values.push_back(static_cast<float>(-7.0 * std::log(1.0 - level)));
  const Marginal marginal(kLevels, values);
  for (const double p : {0.92, 0.95, 0.99, 0.999}) {
    EXPECT_NEAR(marginal.quantile(p), -7.0 * std::log(1.0 - p), 1e-4);
    EXPECT_NEAR(marginal.cdf(-7.0 * std::log(1.0 - p)), p, 1e-5);
  }
}

TEST(Marginal, never_falls_below_zero_and_never_decreases) {
  const std::vector<float> crossing = {-1, 0, 0.5F, 0.4F, 2, 1.5F, 3, 4, 9};
  const Marginal marginal(kLevels, crossing);
  double before = 0.0;
  for (double p = 0.0005; p < 1.0; p += 0.0005) {
    const double value = marginal.quantile(p);
    ASSERT_GE(value, before);
    before = value;
  }
}

TEST(Marginal, mass_at_zero_is_a_jump) {
  const std::vector<float> values = {0, 0, 0, 0, 0, 1, 1, 2, 4};
  const Marginal marginal(kLevels, values);
  EXPECT_EQ(marginal.cdf_below(0.0), 0.0);
  EXPECT_NEAR(marginal.cdf(0.0), 0.5, 1e-12);
  EXPECT_NEAR(marginal.cdf_below(1.0), 0.6, 1e-12);
  EXPECT_NEAR(marginal.cdf(1.0), 0.7, 1e-12);
  EXPECT_EQ(marginal.cdf(-1.0), 0.0);
}

TEST(Marginal, constant_demand_is_a_single_jump) {
  const std::vector<float> values(9, 3.0F);
  const Marginal marginal(kLevels, values);
  EXPECT_EQ(marginal.quantile(0.001), 3.0);
  EXPECT_EQ(marginal.quantile(0.999), 3.0);
  EXPECT_EQ(marginal.cdf(3.0), 1.0);
  EXPECT_EQ(marginal.cdf_below(3.0), 0.0);
}

TEST(Marginal, a_grid_gives_the_same_quantiles) {
  const std::vector<float> values = {0, 0.5F, 1, 2.5F, 3, 3, 6, 7, 12};
  const Marginal marginal(kLevels, values);
  const Grid grid(kLevels, 1000);
  std::vector<float> out(1000);
  grid.quantiles(values, out);
  for (int k = 0; k < 1000; ++k)
    EXPECT_NEAR(out[static_cast<std::size_t>(k)], marginal.quantile((k + 0.5) / 1000), 1e-5);
}

TEST(Marginal, refuses_what_is_no_distribution) {
  const std::vector<float> values = {1, 2, std::numeric_limits<float>::quiet_NaN()};
  const std::vector<double> levels = {0.1, 0.5, 0.9}, unordered = {0.5, 0.1}, outside = {0.5, 1.0},
                            single = {0.5};
  EXPECT_THROW(Marginal(levels, values), Error);
  EXPECT_THROW(check_levels(unordered), Error);
  EXPECT_THROW(check_levels(outside), Error);
  EXPECT_THROW(check_levels(single), Error);
  EXPECT_NO_THROW(check_levels(levels));
}

// Counts of mean 1.3 against the curve that runs through (P(Y <= y), y + 1/2): the PITs must be uniform.
TEST(Marginal, randomised_pits_of_counts_are_uniform_when_the_forecast_is_right) {
  std::vector<double> levels;
  std::vector<float> values;
  double probability = std::exp(-1.3), cdf = probability;
  for (int y = 0; y < 7; ++y) {
    levels.push_back(cdf);
    values.push_back(static_cast<float>(y) + 0.5F);
    probability *= 1.3 / (y + 1);
    cdf += probability;
  }
  const Marginal marginal(levels, values);
  RandomStream draw(3);
  std::array<int, 10> bins{};
  const int n = 20000;
  for (int i = 0; i < n; ++i) {
    const auto count = static_cast<double>(draw.poisson(1.3));
    const double pit = randomised_pit(marginal, count, draw.uniform(), DemandKind::counts);
    ++bins[static_cast<std::size_t>(pit * 10)];
  }
  double chi_square = 0.0;
  for (const int bin : bins) chi_square += (bin - n / 10.0) * (bin - n / 10.0) / (n / 10.0);
  EXPECT_LT(chi_square, 27.9);  // 99.9 % of chi square with 9 degrees of freedom
}

}  // namespace
}  // namespace shelfcast::scorer
