#include "scorer/orders/copula.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/random.h"
#include "scorer/orders/normal.h"

namespace shelfcast::scorer {
namespace {

// PITs of `windows` windows whose scores follow an autoregression with coefficient phi and variance 1.
std::vector<std::vector<double>> autoregressive(int windows, int horizon, double phi, std::uint64_t seed) {
  std::vector<std::vector<double>> all;
  RandomStream draw(seed);
  for (int w = 0; w < windows; ++w) {
    std::vector<double> pits;
    double score = draw.normal();
    for (int h = 0; h < horizon; ++h) {
      pits.push_back(normal_cdf(score));
      score = phi * score + std::sqrt(1.0 - phi * phi) * draw.normal();
    }
    all.push_back(std::move(pits));
  }
  return all;
}

Correlation estimate(const std::vector<std::vector<double>>& windows) {
  CopulaEstimator estimator(static_cast<int>(windows.front().size()));
  for (const auto& pits : windows) estimator.add(pits);
  return estimator.estimate();
}

TEST(Copula, recovers_the_correlation_of_an_autoregression) {
  const Correlation correlation = estimate(autoregressive(4000, 14, 0.7, 1));
  for (int i = 0; i < 14; ++i)
    for (int j = 0; j < 14; ++j) EXPECT_NEAR(correlation(i, j), std::pow(0.7, std::abs(i - j)), 0.04);
}

TEST(Copula, independent_days_stay_independent) {
  const Correlation correlation = estimate(autoregressive(2000, 7, 0.0, 2));
  for (int i = 0; i < 7; ++i)
    for (int j = 0; j < i; ++j) EXPECT_NEAR(correlation(i, j), 0.0, 0.05);
}

TEST(Copula, few_windows_are_drawn_towards_steps_equally_far_apart) {
  const Correlation correlation = estimate(autoregressive(40, 28, 0.8, 3));
  double error = 0.0;
  for (int i = 0; i < 28; ++i)
    for (int j = 0; j < 28; ++j)
      error += std::abs(correlation(i, j) - std::pow(0.8, std::abs(i - j))) / (28 * 28);
  EXPECT_LT(error, 0.12);  // raw estimates from 40 windows are off by about 0.13 on average even without bias
}

TEST(Copula, is_positive_definite_with_fewer_windows_than_steps) {
  const Correlation correlation = estimate(autoregressive(5, 28, 0.5, 4));
  EXPECT_FALSE(cholesky(correlation).empty());
  for (int i = 0; i < 28; ++i) EXPECT_EQ(correlation(i, i), 1.0);
}

TEST(Copula, missing_steps_leave_out_their_pairs_only) {
  auto windows = autoregressive(6000, 7, 0.6, 5);
  RandomStream draw(6);
  for (auto& pits : windows)
    for (double& pit : pits)
      if (draw.uniform() < 0.3) pit = std::numeric_limits<double>::quiet_NaN();
  const Correlation correlation = estimate(windows);
  for (int i = 0; i < 7; ++i)
    for (int j = 0; j < 7; ++j) EXPECT_NEAR(correlation(i, j), std::pow(0.6, std::abs(i - j)), 0.05);
}

TEST(Copula, a_pair_never_seen_takes_the_correlation_of_its_distance) {
  auto windows = autoregressive(4000, 4, 0.6, 7);
  for (std::size_t w = 0; w < windows.size(); ++w)
    windows[w][w % 2 == 0 ? 0 : 1] = std::nan("");  // 0 and 1 never meet
  EXPECT_NEAR(estimate(windows)(0, 1), 0.6, 0.05);
}

TEST(Copula, parts_add_up_to_the_whole) {
  const auto windows = autoregressive(100, 5, 0.4, 8);
  CopulaEstimator whole(5), first(5), second(5);
  for (std::size_t w = 0; w < windows.size(); ++w) {
    whole.add(windows[w]);
    (w < 37 ? first : second).add(windows[w]);
  }
  first.add(second);
  const Correlation a = whole.estimate(), b = first.estimate();
  for (std::size_t k = 0; k < a.values.size(); ++k) EXPECT_NEAR(a.values[k], b.values[k], 1e-12);
}

TEST(Copula, no_window_is_an_error) {
  CopulaEstimator estimator(3);
  EXPECT_THROW(estimator.estimate(), Error);
  estimator.add(std::vector<double>(3, std::nan("")));
  EXPECT_THROW(estimator.estimate(), Error);
}

TEST(Copula, constant_scores_are_taken_as_independent) {
  CopulaEstimator estimator(3);
  for (int w = 0; w < 10; ++w) estimator.add(std::vector<double>{0.5, 0.5, 0.5});
  EXPECT_EQ(estimator.estimate().values, Correlation::identity(3).values);
}

TEST(Cholesky, multiplies_back_to_the_matrix) {
  Correlation matrix = Correlation::identity(3);
  matrix(0, 1) = matrix(1, 0) = 0.6;
  matrix(0, 2) = matrix(2, 0) = -0.3;
  matrix(1, 2) = matrix(2, 1) = 0.2;
  const std::vector<double> factor = cholesky(matrix);
  ASSERT_EQ(factor.size(), 9U);
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 3; ++j) {
      double product = 0.0;
      for (std::size_t k = 0; k < 3; ++k) product += factor[i * 3 + k] * factor[j * 3 + k];
      EXPECT_NEAR(product, matrix.values[i * 3 + j], 1e-14);
    }
}

TEST(Cholesky, an_indefinite_matrix_has_none_and_is_mended_by_little) {
  Correlation matrix = Correlation::identity(3);
  matrix(0, 1) = matrix(1, 0) = 0.9;
  matrix(1, 2) = matrix(2, 1) = 0.9;
  matrix(0, 2) = matrix(2, 0) = 0.5;  // below 2 * 0.81 - 1: impossible
  EXPECT_TRUE(cholesky(matrix).empty());
  const Correlation mended = positive_definite(matrix);
  EXPECT_FALSE(cholesky(mended).empty());
  EXPECT_NEAR(mended(0, 1), 0.9, 0.1);
}

}  // namespace
}  // namespace shelfcast::scorer
