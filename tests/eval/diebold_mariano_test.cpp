#include "eval/diebold_mariano.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <numbers>
#include <random>
#include <sstream>
#include <vector>

namespace shelfcast::eval {
namespace {

TEST(DieboldMariano, agrees_with_statsmodels_and_scipy) {
  std::ifstream file(std::string(SHELFCAST_SOURCE_DIR) + "/tests/golden/diebold_mariano.csv");
  std::string line;
  int tests = 0;
  while (std::getline(file, line)) {
    std::vector<double> numbers;
    std::istringstream cells(line);
    for (std::string cell; std::getline(cells, cell, ',');) numbers.push_back(std::stod(cell));
    const auto horizon = static_cast<std::int64_t>(numbers[0]);
    const std::int64_t dates = std::ssize(numbers) - 3;
    // The package's p is that of dates - 1 degrees of freedom.
    EXPECT_NEAR(student_two_sided(numbers[1], static_cast<double>(dates - 1)), numbers[2],
                1e-9 * numbers[2] + 1e-300);
    const auto test = diebold_mariano(std::span(numbers).subspan(3), horizon);
    ASSERT_EQ(test.has_value(), dates >= 2 * horizon) << line;
    if (!test) continue;
    EXPECT_NEAR(test->statistic, numbers[1], 1e-9 * std::abs(numbers[1]));
    EXPECT_DOUBLE_EQ(test->p, student_two_sided(test->statistic, static_cast<double>(dates / horizon - 1)));
    EXPECT_EQ(test->dates, dates);
    ++tests;
  }
  EXPECT_GE(tests, 12);
}

TEST(DieboldMariano, of_one_step_is_the_t_test_of_the_mean) {
  // Mean 2, sum of squares about it 8: variance 8/3, corrected to 8/2 as of a sample; t = 2 / sqrt(4 / 3).
  const std::vector<double> differences{0.0, 2.0, 4.0};
  const auto test = diebold_mariano(differences, 1);
  EXPECT_NEAR(test->statistic, std::sqrt(3.0), 1e-12);
  // Student's t of 2 degrees of freedom: P(|T| > t) = 1 - t / sqrt(2 + t^2).
  EXPECT_NEAR(test->p, 1.0 - std::sqrt(3.0 / 5.0), 1e-12);
}

TEST(DieboldMariano, says_nothing_from_one_origin_or_without_variation) {
  const std::vector<double> wave{1, 2, 1, 3, 1, 2, 4};
  EXPECT_FALSE(diebold_mariano(wave, 7));
  EXPECT_FALSE(diebold_mariano(wave, 4));
  EXPECT_TRUE(diebold_mariano(wave, 3));
  EXPECT_FALSE(diebold_mariano(std::vector<double>(20, 1.5), 3));
  EXPECT_FALSE(diebold_mariano({}, 1));
}

// Where the errors of a horizon have a shock in common, and where they move together with a horizon's memory.
TEST(DieboldMariano, finds_little_where_there_is_nothing_to_find) {
  std::mt19937 random(17);
  std::normal_distribution<double> normal;
  constexpr int kTrials = 1000;
  for (const std::int64_t horizons : {2, 3, 5}) {
    constexpr std::int64_t kHorizon = 14;
    int shared = 0, moving = 0;
    for (int trial = 0; trial < kTrials; ++trial) {
      std::vector<double> shocks, averages(static_cast<std::size_t>(horizons * kHorizon), 0.0), noise;
      for (std::int64_t i = 0; i < horizons; ++i) {
        const double shock = normal(random);
        for (std::int64_t t = 0; t < kHorizon; ++t) shocks.push_back(shock + normal(random));
      }
      for (std::size_t t = 0; t < averages.size() + kHorizon - 1; ++t) noise.push_back(normal(random));
      for (std::size_t t = 0; t < averages.size(); ++t)
        for (std::size_t lag = 0; lag < kHorizon; ++lag) averages[t] += noise[t + lag];
      shared += diebold_mariano(shocks, kHorizon)->p < 0.05;
      moving += diebold_mariano(averages, kHorizon)->p < 0.05;
    }
    // Of a nominal 5 %: dates - 1 degrees of freedom would find 15 to 25 %.
    EXPECT_LT(shared, 0.09 * kTrials) << horizons;
    EXPECT_LT(moving, 0.09 * kTrials) << horizons;
  }
}

TEST(Student, has_its_closed_forms) {
  // One degree of freedom is Cauchy's distribution.
  for (const double t : {0.0, 0.1, 1.0, -3.0, 50.0})
    EXPECT_NEAR(student_two_sided(t, 1), 1.0 - 2.0 / std::numbers::pi * std::atan(std::abs(t)), 1e-12);
  EXPECT_NEAR(student_two_sided(1.959963984540054, 1e7), 0.05, 1e-7);
}

}  // namespace
}  // namespace shelfcast::eval
