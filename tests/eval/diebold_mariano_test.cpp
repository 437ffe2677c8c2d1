#include "eval/diebold_mariano.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <numbers>
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
    const auto test = diebold_mariano(std::span(numbers).subspan(3), horizon);
    ASSERT_TRUE(test) << line;
    EXPECT_NEAR(test->statistic, numbers[1], 1e-9 * std::abs(numbers[1]));
    EXPECT_NEAR(test->p, numbers[2], 1e-9 * numbers[2] + 1e-300);
    EXPECT_EQ(test->dates, std::ssize(numbers) - 3);
    ++tests;
  }
  EXPECT_EQ(tests, 24);
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
  EXPECT_TRUE(diebold_mariano(wave, 6));
  EXPECT_FALSE(diebold_mariano(std::vector<double>(20, 1.5), 3));
  EXPECT_FALSE(diebold_mariano({}, 1));
}

TEST(Student, has_its_closed_forms) {
  // One degree of freedom is Cauchy's distribution.
  for (const double t : {0.0, 0.1, 1.0, -3.0, 50.0})
    EXPECT_NEAR(student_two_sided(t, 1), 1.0 - 2.0 / std::numbers::pi * std::atan(std::abs(t)), 1e-12);
  EXPECT_NEAR(student_two_sided(1.959963984540054, 1e7), 0.05, 1e-7);
}

}  // namespace
}  // namespace shelfcast::eval
