#include "eval/metrics.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <random>

namespace shelfcast::eval {
namespace {

Score find(const std::vector<Score>& scores, const std::string& metric) {
  for (const Score& score : scores)
    if (score.metric == metric) return score;
  ADD_FAILURE() << "no metric " << metric;
  return {};
}

Judged point(double target, double median, double mean, double scale) {
  return {target, median, mean, scale, {}, 2 * scale * scale};
}

TEST(Metrics, agree_with_values_worked_out_by_hand) {
  // y = 2, 0, 5; median 1, 1, 7; mean 3, 0, 6; scale 2.
  const ErrorLayout layout;
  std::vector<double> sums(layout.width());
  layout.add(point(2, 1, 3, 2), sums);
  layout.add(point(0, 1, 0, 2), sums);
  layout.add(point(5, 7, 6, 2), sums);
  const auto scores = layout.scores(sums);
  EXPECT_DOUBLE_EQ(*find(scores, "mae").value, 4.0 / 3);  // |1-2|, |1-0|, |7-5|
  EXPECT_DOUBLE_EQ(*find(scores, "mse").value, 2.0 / 3);  // 1, 0, 1
  EXPECT_DOUBLE_EQ(*find(scores, "rmse").value, std::sqrt(2.0 / 3));
  EXPECT_DOUBLE_EQ(*find(scores, "bias").value, 2.0 / 3);  // +1, 0, +1
  EXPECT_DOUBLE_EQ(*find(scores, "wape").value, 4.0 / 7);
  EXPECT_DOUBLE_EQ(*find(scores, "smape").value, (2.0 / 3 + 2 + 4.0 / 12) / 3);
  EXPECT_DOUBLE_EQ(*find(scores, "mase").value, 2.0 / 3);                  // 4/3 over 2
  EXPECT_DOUBLE_EQ(*find(scores, "rmsse").value, std::sqrt(2.0 / 3 / 8));  // a mean square of 2 * 2^2
  for (const Score& score : scores) EXPECT_EQ(score.n, 3) << score.metric;
}

TEST(Metrics, absolute_measures_judge_the_median_and_squared_ones_the_mean) {
  const ErrorLayout layout;
  std::vector<double> perfect_median(layout.width()), perfect_mean(layout.width());
  layout.add(point(3, 3, 10, 1), perfect_median);
  layout.add(point(3, 10, 3, 1), perfect_mean);
  for (const char* metric : {"mae", "wape", "smape", "mase"}) {
    EXPECT_EQ(find(layout.scores(perfect_median), metric).value, 0.0) << metric;
    EXPECT_GT(find(layout.scores(perfect_mean), metric).value, 0.0) << metric;
  }
  for (const char* metric : {"mse", "rmse", "bias", "rmsse"}) {
    EXPECT_EQ(find(layout.scores(perfect_mean), metric).value, 0.0) << metric;
    EXPECT_GT(find(layout.scores(perfect_median), metric).value, 0.0) << metric;
  }
}

TEST(Metrics, nothing_judged_is_n_0_without_a_value) {
  const ErrorLayout layout({0.1, 0.5, 0.9});
  const std::vector<double> sums(layout.width());
  for (const Score& score : layout.scores(sums)) {
    EXPECT_FALSE(score.value) << score.metric;
    EXPECT_EQ(score.n, 0) << score.metric;
  }
  const std::vector<std::vector<double>> windows{sums};
  for (const Score& score : layout.window_means(windows)) {
    EXPECT_FALSE(score.value) << score.metric;
    EXPECT_EQ(score.n, 0) << score.metric;
  }
}

TEST(Metrics, zero_demand_has_no_wape_and_zero_scale_no_mase) {
  const ErrorLayout layout;
  std::vector<double> sums(layout.width());
  layout.add(point(0, 1, 1, 0), sums);
  layout.add(point(0, 1, 1, std::nan("")), sums);
  EXPECT_EQ(*find(layout.scores(sums), "mae").value, 1.0);
  EXPECT_FALSE(find(layout.scores(sums), "wape").value);
  EXPECT_EQ(find(layout.scores(sums), "wape").n, 2);
  EXPECT_FALSE(find(layout.scores(sums), "mase").value);
  EXPECT_FALSE(find(layout.scores(sums), "rmsse").value);
  EXPECT_EQ(find(layout.scores(sums), "mase").n, 0);
}

TEST(Metrics, pinball_is_the_tilted_absolute_error) {
  EXPECT_DOUBLE_EQ(pinball(10, 7, 0.9), 2.7);  // too low: 0.9 * 3
  EXPECT_DOUBLE_EQ(pinball(7, 10, 0.9), 0.3);  // too high: 0.1 * 3
  EXPECT_DOUBLE_EQ(pinball(10, 7, 0.5), 1.5);  // half the absolute error
  EXPECT_EQ(pinball(4, 4, 0.2), 0.0);
}

TEST(Metrics, quantile_scores_agree_with_plain_loops) {
  const std::vector<double> levels{0.1, 0.3, 0.5, 0.7, 0.9};
  const ErrorLayout layout(levels);
  std::vector<double> sums(layout.width());
  std::mt19937 random(7);
  std::uniform_real_distribution<double> uniform(0, 10);
  constexpr int kSteps = 500;
  std::vector<double> y;
  std::vector<std::vector<double>> q;
  for (int i = 0; i < kSteps; ++i) {
    y.push_back(std::floor(uniform(random)));
    q.emplace_back();
    for (std::size_t k = 0; k < levels.size(); ++k) q.back().push_back(std::floor(uniform(random)));
    std::sort(q.back().begin(), q.back().end());
    layout.add({y.back(), q.back()[2], q.back()[2], 2.5, q.back(), 9.0}, sums);
  }
  double total_y = 0;
  for (const double value : y) total_y += value;
  double mean_loss = 0;
  for (std::size_t k = 0; k < levels.size(); ++k) {
    double loss = 0, below = 0;
    for (int i = 0; i < kSteps; ++i) {
      loss += y[i] >= q[i][k] ? levels[k] * (y[i] - q[i][k]) : (1 - levels[k]) * (q[i][k] - y[i]);
      below += y[i] <= q[i][k] ? 1 : 0;
    }
    const std::string at = std::to_string(levels[k]).substr(0, 3);
    EXPECT_NEAR(*find(layout.scores(sums), "pinball@" + at).value, loss / kSteps, 1e-12);
    EXPECT_DOUBLE_EQ(*find(layout.scores(sums), "below@" + at).value, below / kSteps);
    mean_loss += loss / kSteps / static_cast<double>(levels.size());
  }
  EXPECT_NEAR(*find(layout.scores(sums), "pinball").value, mean_loss, 1e-12);
  EXPECT_NEAR(*find(layout.scores(sums), "wql").value, 2 * mean_loss / (total_y / kSteps), 1e-12);
  EXPECT_NEAR(*find(layout.scores(sums), "sql").value, 2 * mean_loss / 2.5, 1e-12);
  for (const auto& [low, high, name] : {std::tuple{0, 4, "coverage@0.8"}, std::tuple{1, 3, "coverage@0.4"}}) {
    double inside = 0, width = 0;
    for (int i = 0; i < kSteps; ++i) inside += y[i] >= q[i][low] && y[i] <= q[i][high] ? 1 : 0;
    for (int i = 0; i < kSteps; ++i) width += q[i][high] - q[i][low];
    EXPECT_DOUBLE_EQ(*find(layout.scores(sums), name).value, inside / kSteps);
    EXPECT_DOUBLE_EQ(*find(layout.scores(sums), "width" + std::string(name).substr(8)).value, width / kSteps);
  }
}

TEST(Metrics, symmetric_error_of_nothing_forecast_as_nothing_is_0) {
  const ErrorLayout layout;
  std::vector<double> sums(layout.width());
  layout.add(point(0, 0, 0, 1), sums);
  EXPECT_EQ(find(layout.scores(sums), "smape").value, 0.0);
  layout.add(point(0, 3, 3, 1), sums);
  EXPECT_EQ(find(layout.scores(sums), "smape").value, 1.0);  // 0 and the worst, 2
}

TEST(Metrics, crps_of_fine_quantiles_is_that_of_the_distribution) {
  // Uniform on (0, 1): the integral of (F - [x >= y])^2 is (y^3 + (1 - y)^3) / 3.
  std::vector<double> levels;
  for (int i = 1; i < 1000; ++i) levels.push_back(i / 1000.0);
  const ErrorLayout layout(levels);
  for (const double y : {0.0, 0.3, 0.5, 1.0}) {
    std::vector<double> sums(layout.width());
    layout.add({y, 0.5, 0.5, 1.0, levels, 1.0}, sums);
    EXPECT_NEAR(*find(layout.scores(sums), "crps").value, (y * y * y + std::pow(1 - y, 3)) / 3, 2e-6) << y;
  }
}

TEST(Metrics, crps_of_a_point_mass_is_the_absolute_error_whatever_the_levels) {
  for (const std::vector<double>& levels : {std::vector<double>{0.5}, std::vector<double>{0.1, 0.5, 0.9},
                                            std::vector<double>{0.025, 0.1, 0.9, 0.975}}) {
    const ErrorLayout layout(levels);
    const std::vector<double> quantiles(levels.size(), 7.0);
    std::vector<double> sums(layout.width());
    layout.add({4, 7, 7, 1.0, quantiles, 1.0}, sums);
    EXPECT_NEAR(*find(layout.scores(sums), "crps").value, 3.0, 1e-12);
  }
}

TEST(Metrics, only_levels_that_add_up_to_one_make_an_interval) {
  EXPECT_TRUE(ErrorLayout({0.5}).intervals().empty());
  EXPECT_TRUE(ErrorLayout({0.1, 0.8}).intervals().empty());
  const ErrorLayout layout({0.025, 0.1, 0.5, 0.9, 0.95, 0.975});
  ASSERT_EQ(layout.intervals().size(), 2U);
  EXPECT_NEAR(layout.intervals()[0].nominal, 0.95, 1e-12);
  EXPECT_NEAR(layout.intervals()[1].nominal, 0.8, 1e-12);
}

TEST(Metrics, sums_of_parts_are_the_sums_of_the_whole) {
  const ErrorLayout layout({0.1, 0.9});
  std::vector<double> whole(layout.width()), left(layout.width()), right(layout.width());
  for (int i = 0; i < 10; ++i) {
    const std::vector<double> quantiles{i * 0.5, i * 1.5};
    const Judged step{static_cast<double>(i % 4), 1.0 * i, 2.0 * i, 4.0, quantiles, 20.0};
    layout.add(step, whole);
    layout.add(step, i < 5 ? left : right);
  }
  for (std::size_t i = 0; i < whole.size(); ++i) EXPECT_NEAR(left[i] + right[i], whole[i], 1e-12);
}

TEST(Metrics, window_means_average_origins_with_equal_weight) {
  const ErrorLayout layout;
  std::vector<std::vector<double>> windows(3, std::vector<double>(layout.width()));
  layout.add(point(10, 8, 8, 4), windows[0]);  // mase 0.5, wape 0.2
  layout.add(point(0, 0.5, 0.5, 1),
             windows[1]);  // three steps: mase 0.5, mean|e| 0.5, mean|y| 0: guarded by 1
  layout.add(point(0, 0.5, 0.5, 1), windows[1]);
  layout.add(point(0, 0.5, 0.5, 1), windows[1]);
  const auto scores = layout.window_means(windows);  // the third has no judged step and is left out
  EXPECT_DOUBLE_EQ(*find(scores, "mase_window_mean").value, (0.5 + 0.5) / 2);
  EXPECT_DOUBLE_EQ(*find(scores, "wape_window_mean").value, (0.2 + 0.5) / 2);
  EXPECT_EQ(find(scores, "mase_window_mean").n, 2);
}

TEST(ErrorLayout, a_point_forecast_is_judged_at_its_median_by_quantile_losses) {
  const ErrorLayout layout;
  std::vector<double> sums(layout.width());
  const std::vector<double> levels{0.5, 0.9, 0.95};
  double expected = 0.0;
  for (const auto& [target, median, mean] : {std::array{10.0, 12.0, 7.0}, std::array{5.0, 4.0, 11.0}}) {
    Judged step;
    step.target = target;
    step.median = median;
    step.mean = mean;
    layout.add(step, sums);
    for (const double level : levels) expected += 2.0 / 3.0 * pinball(target, median, level);
  }
  EXPECT_NEAR(
      point_quantile_loss(ErrorLayout::absolute_error(sums), ErrorLayout::median_signed_error(sums), levels),
      expected, 1e-12);
}

}  // namespace
}  // namespace shelfcast::eval
