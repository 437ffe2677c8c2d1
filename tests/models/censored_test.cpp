#include "models/censored.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "models/demand_model.h"
#include "tests/models/small_models.h"

namespace shelfcast::models {
namespace {

constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
const std::vector<double> kLevels = {0.1, 0.25, 0.5, 0.75, 0.9};

// Quantiles of an exponential distribution with mean 1: -log(1 - level). Its tail is what demands_above()
// assumes.
at::Tensor exponential_quantiles() {
  std::vector<double> values;
  for (const double level : kLevels) values.push_back(-std::log(1.0 - level));
  return at::tensor(values, at::kFloat).unsqueeze(0);
}

TEST(DemandsAbove, are_spread_as_a_memoryless_tail_says) {
  // Above any bound the exponential distribution is itself again.
  for (const float bound : {2.5F, 4.0F, 9.0F}) {
    const at::Tensor y = demands_above(exponential_quantiles(), kLevels, at::tensor({bound}));
    for (int k = 0; k < kHiddenDemands; ++k) {
      const double p = (k + 0.5) / kHiddenDemands;
      EXPECT_NEAR(y[0][k].item<double>(), bound - std::log(1.0 - p), 2e-5) << bound << " " << k;
    }
  }
}

TEST(DemandsAbove, a_bound_between_quantiles_shares_out_the_probability_above_it) {
  // Half way between the levels 0.5 and 0.75: 0.375 is left above.
  const at::Tensor quantiles = at::tensor({0.0F, 1.0F, 2.0F, 4.0F, 6.0F}).unsqueeze(0);
  const at::Tensor y = demands_above(quantiles, kLevels, at::tensor({3.0F}));
  for (int k = 0; k < kHiddenDemands; ++k) {
    const double level = 1.0 - 0.375 * (1.0 - (k + 0.5) / kHiddenDemands);
    if (level > 0.9) continue;  // the tail
    const double expected =
        level < 0.75 ? 2.0 + (level - 0.5) / 0.25 * 2.0 : 4.0 + (level - 0.75) / 0.15 * 2.0;
    EXPECT_NEAR(y[0][k].item<double>(), expected, 1e-5) << k;
  }
}

TEST(DemandsAbove, stay_finite_above_the_bound_and_ascend_for_any_quantiles) {
  at::manual_seed(4);
  at::Tensor quantiles = at::randn({500, 5}) * 3.0;
  quantiles.narrow(0, 0, 50).fill_(1.0);  // all quantiles alike
  const at::Tensor bound = at::randn({500}) * 20.0;
  const at::Tensor y = demands_above(quantiles, kLevels, bound);
  EXPECT_TRUE(at::isfinite(y).all().item<bool>());
  EXPECT_TRUE((y >= bound.unsqueeze(1)).all().item<bool>());
  EXPECT_TRUE((y.diff(1, 1) >= 0).all().item<bool>());
  const at::Tensor single =
      demands_above(at::tensor({2.0F, 5.0F}).unsqueeze(1), {0.5}, at::tensor({3.0F, 3.0F}));
  EXPECT_EQ(single[0][0].item<float>(), 3.0F);
  EXPECT_EQ(single[1][7].item<float>(), 5.0F);
}

// Quantiles and mean of one distribution, fitted by gradient descent on the loss alone.
struct Fitted {
  std::vector<double> quantiles;
  double mean = 0;
};

Fitted fit(const std::vector<float>& demand, const std::vector<float>& bound, LossConfig::Censored censored) {
  DemandModelConfig config = testing::small_config();
  config.model.quantiles = kLevels;
  config.model.loss.censored = censored;
  const auto n = static_cast<std::int64_t>(demand.size());
  const Targets targets{at::tensor(demand).unsqueeze(0), at::ones({1}), at::tensor(bound).unsqueeze(0)};
  at::Tensor quantiles = at::linspace(1.0, 12.0, 5).set_requires_grad(true);
  at::Tensor mean = at::full({1}, 5.0F).set_requires_grad(true);
  for (int step = 0; step < 1200; ++step) {
    Forecast forecast;
    forecast.quantiles_bqh = quantiles.view({1, 5, 1}).expand({1, 5, n});
    forecast.mean_bh = mean.unsqueeze(1).expand({1, n});
    forecast.loc_b = at::zeros({1});
    forecast.scale_b = at::ones({1});
    const LossSums sums = loss_sums(forecast, targets, config);
    (sums.loss / sums.valid_targets).backward();
    const at::NoGradGuard no_grad;
    const double rate = 4.0 / (1.0 + step / 60.0);
    quantiles.sub_(rate * quantiles.grad());
    mean.sub_(0.1 * mean.grad());
    quantiles.grad().zero_();
    mean.grad().zero_();
  }
  Fitted fitted;
  for (int q = 0; q < 5; ++q) fitted.quantiles.push_back(quantiles[q].item<double>());
  fitted.mean = mean[0].item<double>();
  return fitted;
}

TEST(CensoredLoss, finds_the_distribution_behind_stock_outs_that_masking_misses) {
  // Gamma demand, stock drawn beside it; about a third of the days is cut.
  std::mt19937 random(3);
  std::gamma_distribution<float> draw_demand(3.0F, 2.0F), draw_stock(4.0F, 2.0F);
  std::vector<float> wanted, demand, bound;
  int cut = 0;
  for (int i = 0; i < 2500; ++i) {
    const float want = draw_demand(random), stock = draw_stock(random);
    wanted.push_back(want);
    demand.push_back(want > stock ? kNone : want);
    bound.push_back(want > stock ? stock : kNone);
    cut += want > stock ? 1 : 0;
  }
  ASSERT_GT(cut, 600);
  std::sort(wanted.begin(), wanted.end());
  double mean = 0;
  for (const float want : wanted) mean += want / static_cast<double>(wanted.size());
  const Fitted with_bound = fit(demand, bound, LossConfig::Censored::bound);
  const Fitted masked = fit(demand, bound, LossConfig::Censored::mask);
  for (std::size_t q = 0; q < kLevels.size(); ++q) {
    const double truth = wanted[static_cast<std::size_t>(kLevels[q] * static_cast<double>(wanted.size()))];
    EXPECT_NEAR(with_bound.quantiles[q], truth, 0.06 * truth + 0.1) << kLevels[q];
    if (kLevels[q] >= 0.5) {
      EXPECT_LT(masked.quantiles[q], 0.88 * truth) << kLevels[q];
    }
  }
  EXPECT_NEAR(with_bound.mean, mean, 0.04 * mean);
  EXPECT_LT(masked.mean, 0.88 * mean);
}

TEST(CensoredLoss, counts_a_cut_step_once_and_a_padding_row_never) {
  DemandModelConfig config = testing::small_config();
  config.model.quantiles = kLevels;
  Forecast forecast;
  forecast.quantiles_bqh =
      exponential_quantiles().unsqueeze(2).expand({2, 5, 3}).clone().set_requires_grad(true);
  forecast.loc_b = at::zeros({2});
  forecast.scale_b = at::ones({2});
  const at::Tensor demand = at::tensor({1.0F, kNone, kNone, 1.0F, kNone, kNone}).view({2, 3});
  const at::Tensor bound = at::tensor({kNone, 2.0F, kNone, kNone, 2.0F, kNone}).view({2, 3});
  const LossSums sums = loss_sums(forecast, {demand, at::tensor({1.0F, 0.0F}), bound}, config);
  EXPECT_EQ(sums.valid_targets.item<double>(), 2.0);
  sums.loss.backward();
  const at::Tensor gradient = forecast.quantiles_bqh.grad();
  EXPECT_EQ(gradient[1].abs().sum().item<float>(), 0.0F);
  EXPECT_EQ(gradient[0].select(1, 2).abs().sum().item<float>(), 0.0F);  // neither demand nor bound
  EXPECT_LT(gradient[0].select(1, 1).max().item<float>(), 0.0F);        // a cut step pulls all quantiles up
}

}  // namespace
}  // namespace shelfcast::models
