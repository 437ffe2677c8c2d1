// Combined forecasts: weights in closed form, and what a backtest learns them from.
#include "eval/combination.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>

#include "base/error.h"
#include "eval/backtest.h"
#include "eval/nnls.h"
#include "parallel/launch.h"
#include "tests/eval/small_panel.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast::eval {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pointwise;

TEST(Nnls, meets_the_conditions_of_its_optimum_on_drawn_problems) {
  // x >= 0, slope A'(y - A x) <= 0, and one of the two 0 for each column (Karush, Kuhn and Tucker).
  std::mt19937 random(7);
  std::normal_distribution<double> normal;
  int at_zero = 0;
  for (int trial = 0; trial < 50; ++trial) {
    constexpr std::size_t kColumns = 6, kRows = 20;
    std::vector<double> a(kRows * kColumns), y(kRows), gram(kColumns * kColumns), product(kColumns);
    for (double& value : a) value = normal(random);
    for (double& value : y) value = normal(random);
    for (std::size_t r = 0; r < kRows; ++r)
      for (std::size_t i = 0; i < kColumns; ++i) {
        product[i] += a[r * kColumns + i] * y[r];
        for (std::size_t j = 0; j < kColumns; ++j)
          gram[i * kColumns + j] += a[r * kColumns + i] * a[r * kColumns + j];
      }
    const std::vector<double> x = non_negative_least_squares(gram, product);
    for (std::size_t i = 0; i < kColumns; ++i) {
      double slope = product[i];
      for (std::size_t j = 0; j < kColumns; ++j) slope -= gram[i * kColumns + j] * x[j];
      EXPECT_GE(x[i], 0.0);
      EXPECT_LT(slope, 1e-8);
      EXPECT_NEAR(x[i] * slope, 0.0, 1e-8);
      at_zero += x[i] == 0.0 ? 1 : 0;
    }
  }
  EXPECT_GT(at_zero, 50);
}

TEST(Nnls, of_columns_that_are_the_same_uses_one) {
  const std::vector<double> x = non_negative_least_squares(std::vector<double>{4, 4, 0, 4, 4, 0, 0, 0, 1},
                                                           std::vector<double>{8, 8, 3});
  EXPECT_NEAR(x[0] + x[1], 2.0, 1e-12);
  EXPECT_NEAR(x[2], 3.0, 1e-12);
  EXPECT_THAT(non_negative_least_squares(std::vector<double>{0, 0, 0, 0}, std::vector<double>{0, 0}),
              ElementsAre(0, 0));
}

// Sums of steps: for each the members' forecasts, which are mean and median, and the target.
std::vector<double> sums_of(const std::vector<std::pair<std::vector<double>, double>>& steps) {
  const std::size_t members = steps.front().first.size();
  std::vector<double> sums(MemberCells{members, 1, 1, 1}.width());
  for (const auto& [forecasts, target] : steps) {
    std::size_t next = 0;
    sums[next++] += 1.0;
    for (const double f : forecasts) sums[next++] += std::abs(f - target);
    for (std::size_t i = 0; i < members; ++i)
      for (std::size_t j = i; j < members; ++j) sums[next++] += forecasts[i] * forecasts[j];
    for (const double f : forecasts) sums[next++] += f * target;
  }
  return sums;
}

TEST(CombinationWeights, are_equal_without_earlier_origins) {
  const std::vector<double> none(MemberCells{4, 1, 1, 1}.width());
  for (const CombinationMethod& method : combination_methods())
    EXPECT_THAT(combination_weights(method.name, none, 4), ElementsAre(0.25, 0.25, 0.25, 0.25));
}

TEST(CombinationWeights, by_inverse_error_are_one_over_the_mean_absolute_error) {
  // Mean absolute errors 1, 2 and 4: weights 4/7, 2/7, 1/7.
  const auto sums = sums_of({{{11, 12, 6}, 10}, {{9, 8, 14}, 10}});
  EXPECT_THAT(combination_weights("inverse_error", sums, 3),
              Pointwise(DoubleNear(1e-12), {4.0 / 7, 2.0 / 7, 1.0 / 7}));
  // Who makes no error has all the weight.
  EXPECT_THAT(combination_weights("inverse_error", sums_of({{{10, 12}, 10}}), 2), ElementsAre(1, 0));
  EXPECT_THAT(combination_weights("mean", sums, 2), ElementsAre(0.5, 0.5));
}

TEST(CombinationWeights, by_stacking_find_a_known_mixture_and_drop_who_only_harms) {
  std::vector<std::pair<std::vector<double>, double>> mixed, harmful;
  for (int i = 0; i < 20; ++i) {
    const double a = i % 7, b = i % 3;
    mixed.push_back({{a, b}, 0.25 * a + 0.9 * b});
    harmful.push_back({{a, b}, 0.5 * a - 0.1 * b});
  }
  EXPECT_THAT(combination_weights("stacking", sums_of(mixed), 2), Pointwise(DoubleNear(1e-9), {0.25, 0.9}));
  const std::vector<double> weights = combination_weights("stacking", sums_of(harmful), 2);
  EXPECT_EQ(weights[1], 0.0);
  double products = 0.0, squares = 0.0;  // alone, the other one is fitted by a line through 0
  for (const auto& [forecasts, target] : harmful) {
    products += forecasts[0] * target;
    squares += forecasts[0] * forecasts[0];
  }
  EXPECT_NEAR(weights[0], products / squares, 1e-12);
}

class Combined : public ::testing::Test {
 protected:
  Combined() { write_panel(panel_, folder_ / "small.corpus"); }

  static BacktestConfig config() {
    BacktestConfig config;
    config.origins = 3;
    config.stride = 6;
    config.horizon = 6;
    config.batch = 4;
    config.baselines = {"naive", "moving_average"};
    config.window = 14;
    config.by = {};
    config.bootstrap = 0;
    config.orders.review = 0;
    config.fans = 100;
    config.combine.methods = {"mean", "inverse_error", "stacking"};
    return config;
  }
  BacktestResult run(const BacktestConfig& config, bool with_model, parallel::Communicator& communicator,
                     const std::string& corpus = "small.corpus") const {
    const auto spec = data::make_features(small_config(28, 8), data::Corpus(folder_ / corpus), 30);
    SeasonalQuantiles model(7, 3);
    std::vector<Forecaster*> models;
    if (with_model) models.push_back(&model);
    return run_backtest(config, folder_ / corpus, spec, models, 40, communicator);
  }
  BacktestResult run(const BacktestConfig& config, bool with_model = true,
                     const std::string& corpus = "small.corpus") const {
    const auto alone = parallel::make_single();
    return run(config, with_model, *alone, corpus);
  }

  SmallPanel panel_ = make_small_panel();
  testing::TemporaryFolder folder_;
};

TEST_F(Combined, forecasts_are_the_weighted_sums_of_the_members_in_one_backtest) {
  const BacktestResult result = run(config());
  EXPECT_THAT(result.combinations.members, ElementsAre("Seasonal quantiles", "Naive", "Moving average (14)"));
  ASSERT_EQ(result.forecasters.size(), 6U);
  EXPECT_EQ(result.forecasters[5].name, "Stacking with Seasonal quantiles");
  EXPECT_EQ(result.models, 1U);  // combinations are compared with, like baselines
  ASSERT_EQ(result.combinations.weights.size(), 3U * 3U);
  for (const CombinationWeights& w : result.combinations.weights) {
    if (w.origin != result.judgement.origins.front()) continue;
    for (const double weight : w.weights) EXPECT_DOUBLE_EQ(weight, 1.0 / 3);
  }
  const auto last = result.combinations.weights.end() - 3;  // of the last origin
  for (const Fan& fan : result.fans)
    for (std::size_t c = 0; c < 3; ++c)
      for (std::size_t h = 0; h < 6; ++h) {
        double sum = 0.0;
        for (std::size_t m = 0; m < 3; ++m) sum += last[c].weights[m] * fan.forecasts[m].mean_h[h];
        EXPECT_NEAR(fan.forecasts[3 + c].mean_h[h], sum, 1e-4) << fan.series;
      }
  EXPECT_TRUE(result.forecasters[5].levels.empty());  // its members do not all have quantiles
}

TEST_F(Combined, weights_by_inverse_error_come_from_what_was_observed_before_the_origin_alone) {
  BacktestConfig overlapping = config();
  overlapping.stride = 4;  // the last two steps of an origin's horizon lie after the next one
  const BacktestResult result = run(overlapping, false);
  const std::int64_t origin = result.judgement.origins[1], earlier = result.judgement.origins[0];
  double naive = 0.0, average = 0.0;
  for (std::int64_t s = 0; s < panel_.series; ++s) {
    double last = 0.0, sum = 0.0, n = 0.0;
    for (std::int64_t t = 0; t < earlier; ++t) {
      if (std::isnan(panel_.at(s, t))) continue;
      last = panel_.at(s, t);
      if (t >= earlier - 14) sum += last, n += 1.0;
    }
    for (std::int64_t t = earlier; t < origin; ++t) {
      if (std::isnan(panel_.at(s, t))) continue;
      naive += std::abs(last - panel_.at(s, t));
      average += std::abs((n > 0 ? sum / n : last) - panel_.at(s, t));
    }
  }
  const auto found = std::ranges::find_if(result.combinations.weights, [&](const CombinationWeights& w) {
    return w.combination == "Inverse error" && w.origin == origin;
  });
  ASSERT_NE(found, result.combinations.weights.end());
  EXPECT_NEAR(found->weights[0], average / (naive + average), 1e-6);

  // Nothing from an origin on changes its weights.
  SmallPanel poisoned = panel_;
  for (std::int64_t s = 0; s < panel_.series; ++s)
    for (std::int64_t t = result.judgement.origins[2]; t < panel_.demand_end; ++t)
      if (float& value = poisoned.demand[static_cast<std::size_t>(s * panel_.steps + t)]; !std::isnan(value))
        value += 1e4F;
  write_panel(poisoned, folder_ / "poisoned.corpus");
  const BacktestResult other = run(overlapping, false, "poisoned.corpus");
  for (std::size_t i = 0; i < result.combinations.weights.size(); ++i)
    EXPECT_EQ(result.combinations.weights[i].weights, other.combinations.weights[i].weights) << i;
}

TEST_F(Combined, weights_by_category_differ_and_one_never_judged_goes_with_all) {
  BacktestConfig by_category = config();
  by_category.combine = {{"inverse_error"}, {"naive", "moving_average"}, CombineBy::category};
  const BacktestResult result = run(by_category);
  EXPECT_THAT(result.combinations.members, ElementsAre("Naive", "Moving average (14)"));
  EXPECT_EQ(result.forecasters.back().name, "Inverse error");
  ASSERT_EQ(result.combinations.weights.size(), 3U * result.categories.size());
  BacktestConfig overall = by_category;
  overall.combine.by = CombineBy::overall;
  const BacktestResult all = run(overall);
  const auto last = result.combinations.weights.end() - std::ssize(result.categories);
  EXPECT_NE(last[0].weights, last[1].weights);
  EXPECT_EQ(last[2].level, "never sold");
  EXPECT_THAT(last[2].weights, Pointwise(DoubleNear(1e-12), all.combinations.weights.back().weights));
}

TEST_F(Combined, is_the_same_to_the_last_digit_for_any_number_of_ranks) {
  const auto text_of = [](const BacktestResult& result) { return result_json(result).dump(); };
  const std::string one = text_of(run(config()));
  EXPECT_THAT(one, HasSubstr("\"combination\":\"Stacking with Seasonal quantiles\""));
  for (const int ranks : {2, 3})
    parallel::run_ranks_as_threads(ranks, [&](parallel::Communicator& communicator) {
      EXPECT_EQ(text_of(run(config(), true, communicator)), one) << ranks;
    });
}

TEST_F(Combined, refuses_what_cannot_be_combined) {
  const auto message = [&](auto change) -> std::string {
    BacktestConfig config = this->config();
    change(config);
    try {
      run(config, false);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      return error.what();
    }
    return "no error";
  };
  EXPECT_THAT(message([](auto& c) { c.combine.methods = {"stackin"}; }),
              HasSubstr("did you mean 'stacking'"));
  EXPECT_THAT(message([](auto& c) { c.combine.of = {"ets"}; }), HasSubstr("no forecast of the backtest"));
  EXPECT_THAT(message([](auto& c) { c.combine.of = {"naive"}; }), HasSubstr("needs two"));
  EXPECT_THAT(message([](auto& c) { c.combine.of = {"naive", "model"}; }), HasSubstr("baselines alone"));
}

}  // namespace
}  // namespace shelfcast::eval
