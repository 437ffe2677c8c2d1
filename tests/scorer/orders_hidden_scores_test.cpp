#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "scorer/orders/hidden_scores.h"

namespace shelfcast::scorer {
namespace {

constexpr double kHidden = std::numeric_limits<double>::quiet_NaN();
constexpr double kAnywhere = -std::numeric_limits<double>::infinity();

Correlation pair_with(double r) {
  Correlation matrix = Correlation::identity(2);
  matrix(0, 1) = matrix(1, 0) = r;
  return matrix;
}

struct Moments {
  double mean = 0, square = 0;
};

// Moments of score `index` over many draws.
Moments draw(const Correlation& correlation, const std::vector<double>& seen,
             const std::vector<double>& lower, std::size_t index) {
  constexpr int kDraws = 20000;
  const HiddenScores hidden(correlation);
  RandomStream random(11);
  Moments moments;
  for (int i = 0; i < kDraws; ++i) {
    std::vector<double> scores = seen;
    hidden.draw(scores, lower, random);
    for (std::size_t k = 0; k < scores.size(); ++k) {
      EXPECT_TRUE(std::isnan(seen[k]) ? scores[k] >= lower[k] : scores[k] == seen[k]);
    }
    moments.mean += scores[index] / kDraws;
    moments.square += scores[index] * scores[index] / kDraws;
  }
  return moments;
}

// The same of a normal distribution above `lower`, by summing thin slices.
Moments sliced(double mean, double deviation, double lower) {
  Moments moments;
  double whole = 0;
  for (double x = std::max(lower, mean - 9 * deviation); x < mean + 9 * deviation; x += 1e-4) {
    const double weight = std::exp(-0.5 * std::pow((x - mean) / deviation, 2));
    whole += weight;
    moments.mean += weight * x;
    moments.square += weight * x * x;
  }
  return {moments.mean / whole, moments.square / whole};
}

TEST(HiddenScores, a_free_score_follows_the_one_seen) {
  const Moments moments = draw(pair_with(0.8), {1.5, kHidden}, {kAnywhere, kAnywhere}, 1);
  EXPECT_NEAR(moments.mean, 0.8 * 1.5, 0.02);
  EXPECT_NEAR(moments.square - moments.mean * moments.mean, 1 - 0.64, 0.02);
}

TEST(HiddenScores, a_bound_cuts_what_the_one_seen_says) {
  for (const double seen : {-1.0, 0.5, 2.0}) {
    const Moments moments = draw(pair_with(0.6), {seen, kHidden}, {kAnywhere, 1.0}, 1);
    const Moments expected = sliced(0.6 * seen, 0.8, 1.0);
    EXPECT_NEAR(moments.mean, expected.mean, 0.02) << seen;
    EXPECT_NEAR(moments.square, expected.square, 0.06) << seen;
  }
}

TEST(HiddenScores, two_bounds_that_lean_on_each_other_agree_with_rejection) {
  const Correlation correlation = pair_with(0.7);
  const std::vector<double> lower = {0.5, 0.0};
  const Moments moments = draw(correlation, {kHidden, kHidden}, lower, 0);
  RandomStream random(3);
  Moments expected;
  int kept = 0;
  for (int i = 0; i < 400000; ++i) {
    const double a = random.normal(), b = 0.7 * a + std::sqrt(1 - 0.49) * random.normal();
    if (a < lower[0] || b < lower[1]) continue;
    ++kept;
    expected.mean += a;
    expected.square += a * a;
  }
  EXPECT_NEAR(moments.mean, expected.mean / kept, 0.02);
  EXPECT_NEAR(moments.square, expected.square / kept, 0.05);
}

TEST(HiddenScores, stay_finite_far_in_the_tail) {
  std::vector<double> scores = {-4.0, kHidden};
  RandomStream random(1);
  HiddenScores(pair_with(0.95)).draw(scores, std::vector<double>{kAnywhere, 4.5}, random);
  EXPECT_GE(scores[1], 4.5);
  EXPECT_LT(scores[1], 8.0);
}

}  // namespace
}  // namespace shelfcast::scorer
