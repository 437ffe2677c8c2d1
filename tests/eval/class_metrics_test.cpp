#include "eval/class_metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <random>
#include <sstream>

#include "eval/demand_level.h"

namespace shelfcast::eval {
namespace {

const std::vector<std::string> kClasses = {"low", "normal", "high"};

Score find(const std::vector<Score>& scores, const std::string& metric) {
  const auto found = std::ranges::find(scores, metric, &Score::metric);
  if (found != scores.end()) return *found;
  ADD_FAILURE() << "no metric " << metric;
  return {};
}

TEST(ClassMetrics, agree_with_scikit_learn) {
  std::ifstream file(std::string(SHELFCAST_SOURCE_DIR) + "/tests/golden/classes.csv");
  std::vector<std::string> metrics = {"accuracy",           "precision_macro", "recall_macro", "f1_macro",
                                      "precision_weighted", "recall_weighted", "f1_weighted"};
  for (const std::string& name : kClasses)
    for (const char* metric : {"precision@", "recall@", "f1@"}) metrics.push_back(metric + name);
  std::string line;
  int classifications = 0;
  while (std::getline(file, line)) {
    SCOPED_TRACE(line);
    std::vector<double> numbers;
    std::istringstream cells(line);
    for (std::string cell; std::getline(cells, cell, ',');) numbers.push_back(std::stod(cell));
    ASSERT_EQ(numbers.size(), 9 + metrics.size());
    const std::vector<Score> scores = class_scores(std::span(numbers).first(9), kClasses);
    // Of a class that nothing can be said of scikit-learn says 0.
    for (std::size_t i = 0; i < metrics.size(); ++i)
      EXPECT_NEAR(find(scores, metrics[i]).value.value_or(0.0), numbers[9 + i], 1e-12) << metrics[i];
    ++classifications;
  }
  EXPECT_EQ(classifications, 16);
}

TEST(ClassMetrics, of_classes_that_do_not_occur_are_n_0_without_a_value) {
  // "normal" is never true and never forecast; "high" is forecast twice and never true.
  const std::vector<double> confusion = {3, 0, 2, 0, 0, 0, 0, 0, 0};
  const std::vector<Score> scores = class_scores(confusion, kClasses);
  const auto expect = [&](const char* metric, std::optional<double> value, std::int64_t n) {
    EXPECT_EQ(find(scores, metric).value, value) << metric;
    EXPECT_EQ(find(scores, metric).n, n) << metric;
  };
  expect("accuracy", 0.6, 5);
  expect("precision@normal", std::nullopt, 0);
  expect("recall@normal", std::nullopt, 0);
  expect("f1@normal", std::nullopt, 0);
  expect("precision@high", 0.0, 2);
  expect("recall@high", std::nullopt, 0);
  expect("f1@high", 0.0, 2);
  expect("precision@low", 1.0, 3);
  expect("recall@low", 0.6, 5);
  expect("f1@low", 0.75, 5);
  expect("recall_macro", 0.3, 5);  // over "low" and "high"
  expect("recall_weighted", 0.6, 5);
  expect("confusion@low>high", 2.0, 2);
  expect("confusion@high>low", 0.0, 0);
  for (const Score& score : class_scores(std::vector<double>(9, 0.0), kClasses)) {
    EXPECT_EQ(score.n, 0) << score.metric;
    EXPECT_EQ(score.value.value_or(0.0), 0.0) << score.metric;
    EXPECT_EQ(score.value.has_value(), score.metric.starts_with("confusion@")) << score.metric;
  }
}

TEST(DemandLevel, thresholds_are_quantiles_of_what_was_observed) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  // Sorted 0 2 4 10: a quarter of the way lies at 0.75, three quarters at 2.25.
  const LevelThresholds t = fit_levels(std::vector<float>{4, nan, 0, 10, nan, 2}, {0.25, 0.75});
  EXPECT_DOUBLE_EQ(t.low, 1.5);
  EXPECT_DOUBLE_EQ(t.high, 5.5);
  EXPECT_EQ(t.level_of(1.5), 0U);
  EXPECT_EQ(t.level_of(1.6), 1U);
  EXPECT_EQ(t.level_of(5.5), 1U);
  EXPECT_EQ(t.level_of(5.6), 2U);
  const LevelThresholds one = fit_levels(std::vector<float>{3}, {0.1, 0.9});
  EXPECT_EQ(one.low, 3.0);
  EXPECT_EQ(one.high, 3.0);
  EXPECT_FALSE(fit_levels(std::vector<float>{nan, nan}, {0.25, 0.75}).known());
  EXPECT_FALSE(fit_levels({}, {0.25, 0.75}).known());
}

TEST(DemandLevel, has_the_shares_asked_for_where_values_differ) {
  std::mt19937 random(3);
  std::vector<float> demand(1001);
  for (std::size_t i = 0; i < demand.size(); ++i) demand[i] = static_cast<float>(i);
  std::ranges::shuffle(demand, random);
  const LevelThresholds t = fit_levels(demand, {0.2, 0.9});
  std::size_t count[3] = {};
  for (const float value : demand) ++count[t.level_of(value)];
  EXPECT_EQ(count[0], 201U);
  EXPECT_EQ(count[1], 700U);
  EXPECT_EQ(count[2], 100U);
}

}  // namespace
}  // namespace shelfcast::eval
