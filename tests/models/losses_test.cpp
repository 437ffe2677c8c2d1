#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "models/demand_model.h"
#include "tests/models/small_models.h"

namespace shelfcast::models {
namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

// Two windows, three levels, two steps.
struct Setting {
  Setting() {
    config.model.quantiles = {0.1, 0.5, 0.9};
    config.model.loss.quantile = 0.7;
    config.model.loss.mean = 0.4;
    at::manual_seed(1);
    forecast.quantiles_bqh = at::randn({2, 3, 2}).set_requires_grad(true);
    forecast.mean_bh = at::randn({2, 2}).set_requires_grad(true);
    forecast.loc_b = at::tensor({3.0F, -1.0F});
    forecast.scale_b = at::tensor({2.0F, 0.5F});
    target = at::tensor({4.0F, kMissing, 0.25F, -1.5F}).view({2, 2});
  }
  // The definition, number by number in double.
  double expected(std::vector<double> weight, bool squared) const {
    double sum = 0;
    for (int b = 0; b < 2; ++b) {
      for (int h = 0; h < 2; ++h) {
        const double demand = target[b][h].item<double>();
        if (std::isnan(demand)) continue;
        const double y = (demand - forecast.loc_b[b].item<double>()) / forecast.scale_b[b].item<double>();
        double pinball = 0;
        for (int q = 0; q < 3; ++q) {
          const double level = config.model.quantiles[static_cast<std::size_t>(q)];
          const double error = y - forecast.quantiles_bqh[b][q][h].item<double>();
          pinball += 2.0 * (error > 0 ? level * error : (level - 1.0) * error) / 3.0;
        }
        const double error = y - forecast.mean_bh[b][h].item<double>();
        const double mean = squared ? error * error : std::abs(error);
        sum += weight[static_cast<std::size_t>(b)] *
               (config.model.loss.quantile * pinball + config.model.loss.mean * mean);
      }
    }
    return sum;
  }
  DemandModelConfig config = testing::small_config();
  Forecast forecast;
  at::Tensor target;
};

TEST(LossSums, equal_the_definition_over_observed_targets) {
  Setting s;
  const LossSums sums = loss_sums(s.forecast, {s.target, at::ones({2}), {}}, s.config);
  EXPECT_NEAR(sums.loss.item<double>(), s.expected({1, 1}, true), 1e-5);
  EXPECT_EQ(sums.valid_targets.item<double>(), 3.0);
  s.config.model.loss.mean_loss = LossConfig::MeanLoss::mae;
  EXPECT_NEAR(loss_sums(s.forecast, {s.target, at::ones({2}), {}}, s.config).loss.item<double>(),
              s.expected({1, 1}, false), 1e-5);
}

TEST(LossSums, padding_windows_count_nothing) {
  Setting s;
  const LossSums sums = loss_sums(s.forecast, {s.target, at::tensor({1.0F, 0.0F}), {}}, s.config);
  EXPECT_NEAR(sums.loss.item<double>(), s.expected({1, 0}, true), 1e-5);
  EXPECT_EQ(sums.valid_targets.item<double>(), 1.0);
  sums.loss.backward();
  EXPECT_EQ(s.forecast.quantiles_bqh.grad()[1].abs().sum().item<float>(), 0.0F);
}

TEST(LossSums, missing_targets_send_no_gradient_and_no_nan) {
  Setting s;
  s.target.fill_(kMissing);
  const LossSums sums = loss_sums(s.forecast, {s.target, at::ones({2}), {}}, s.config);
  sums.loss.backward();
  EXPECT_EQ(sums.loss.item<float>(), 0.0F);
  EXPECT_EQ(sums.valid_targets.item<double>(), 0.0);
  EXPECT_EQ(s.forecast.quantiles_bqh.grad().abs().sum().item<float>(), 0.0F);
  EXPECT_EQ(s.forecast.mean_bh.grad().abs().sum().item<float>(), 0.0F);
}

TEST(LossSums, a_head_with_weight_zero_is_left_out) {
  Setting s;
  s.config.model.loss.mean = 0.0;
  EXPECT_NEAR(loss_sums(s.forecast, {s.target, at::ones({2}), {}}, s.config).loss.item<double>(),
              s.expected({1, 1}, true), 1e-5);
  s.config.model.loss.quantile = 0.0;
  s.config.model.loss.mean = 1.0;
  EXPECT_NEAR(loss_sums(s.forecast, {s.target, at::ones({2}), {}}, s.config).loss.item<double>(),
              s.expected({1, 1}, true), 1e-5);
}

TEST(LossSums, quantiles_in_an_arcsinh_scale_meet_targets_there_and_the_mean_does_not) {
  Setting s;
  s.config.model.loss.mean = 0.0;
  s.forecast.arcsinh = true;
  const double quantiles = loss_sums(s.forecast, {s.target, at::ones({2}), {}}, s.config).loss.item<double>();
  // The same targets with their scaled values drawn together by hand.
  Setting by_hand;
  by_hand.config.model.loss.mean = 0.0;
  for (int b = 0; b < 2; ++b) {
    const double loc = s.forecast.loc_b[b].item<double>(), scale = s.forecast.scale_b[b].item<double>();
    for (int h = 0; h < 2; ++h)
      by_hand.target[b][h] =
          loc + scale * std::asinh((s.target[b][h].item<double>() - loc) / scale);  // NaN stays
  }
  EXPECT_NEAR(quantiles, by_hand.expected({1, 1}, true), 1e-5);
  s.config.model.loss = {.quantile = 0.0, .mean = 0.4};
  by_hand.target = s.target;
  by_hand.config.model.loss = s.config.model.loss;
  EXPECT_NEAR(loss_sums(s.forecast, {s.target, at::ones({2}), {}}, s.config).loss.item<double>(),
              by_hand.expected({1, 1}, true), 1e-5);
}

TEST(LossSums, an_arcsinh_forecast_made_linear_has_the_loss_of_a_linear_one_with_hidden_demand_as_well) {
  Setting s;
  const at::Tensor bound = at::tensor({kMissing, 2.0F, kMissing, kMissing}).view({2, 2});
  const double linear = loss_sums(s.forecast, {s.target, at::ones({2}), bound}, s.config).loss.item<double>();
  Forecast drawn = s.forecast;
  drawn.quantiles_bqh = s.forecast.quantiles_bqh.detach().asinh();
  drawn.arcsinh = true;
  EXPECT_NEAR(loss_sums(drawn.linear(), {s.target, at::ones({2}), bound}, s.config).loss.item<double>(),
              linear, 1e-5);
  EXPECT_TRUE(at::allclose(drawn.demand_quantiles_bqh(0.0), s.forecast.demand_quantiles_bqh(0.0)));
  // What a stock-out hid is drawn from the same distribution in either scale: so the means' losses agree.
  s.config.model.loss = {.quantile = 0.0, .mean = 1.0};
  EXPECT_NEAR(loss_sums(drawn, {s.target, at::ones({2}), bound}, s.config).loss.item<double>(),
              loss_sums(s.forecast, {s.target, at::ones({2}), bound}, s.config).loss.item<double>(), 1e-4);
}

}  // namespace
}  // namespace shelfcast::models
