#include "models/likelihoods.h"

#include <gtest/gtest.h>
#include <torch/autograd.h>

#include <cmath>
#include <vector>

#include "models/demand_model.h"
#include "tests/models/small_models.h"

namespace shelfcast::models {
namespace {

at::Tensor doubles(const std::vector<double>& values) { return at::tensor(values, at::kDouble); }

// P(k) of a negative binomial, from the definition.
double probability(double k, double mean, double dispersion) {
  const double r = 1.0 / dispersion;
  return std::exp(std::lgamma(k + r) - std::lgamma(r) - std::lgamma(k + 1.0)) * std::pow(r / (r + mean), r) *
         std::pow(mean / (r + mean), k);
}

TEST(Likelihoods, negative_binomial_is_minus_the_log_of_its_probability) {
  for (const double mean : {0.05, 2.0, 40.0})
    for (const double dispersion : {0.02, 0.6, 5.0})
      for (const double y : {0.0, 1.0, 7.0, 55.0})
        EXPECT_NEAR(
            negative_binomial_loss(doubles({y}), doubles({mean}), doubles({dispersion})).item<double>(),
            -std::log(probability(y, mean, dispersion)), 1e-9)
            << mean << " " << dispersion << " " << y;
}

TEST(Likelihoods, negative_binomial_of_no_dispersion_is_a_poisson) {
  for (const double y : {0.0, 3.0, 12.0})
    EXPECT_NEAR(negative_binomial_loss(doubles({y}), doubles({4.0}), doubles({1e-6})).item<double>(),
                4.0 - y * std::log(4.0) + std::lgamma(y + 1.0), 1e-4);
}

// All demand's mean is `mean`, and probabilities sum to one.
TEST(Likelihoods, zero_inflated_is_a_distribution_of_the_mean_it_is_given) {
  const double mean = 3.0, dispersion = 0.4, logit = -0.7;
  std::vector<double> counts;
  for (int k = 0; k < 400; ++k) counts.push_back(k);
  const at::Tensor y = doubles(counts), ones = at::ones_like(y);
  const at::Tensor p = (-zero_inflated_loss(y, mean * ones, dispersion * ones, logit * ones)).exp();
  EXPECT_NEAR(p.sum().item<double>(), 1.0, 1e-9);
  EXPECT_NEAR((p * y).sum().item<double>(), mean, 1e-8);
  const double share = 1.0 / (1.0 + std::exp(-logit));
  EXPECT_NEAR(p[0].item<double>(), share + (1.0 - share) * probability(0, mean / (1.0 - share), dispersion),
              1e-12);
  EXPECT_NEAR(p[5].item<double>(), (1.0 - share) * probability(5, mean / (1.0 - share), dispersion), 1e-12);
}

// As scikit-learn's mean_tweedie_deviance defines it, halved.
TEST(Likelihoods, tweedie_is_half_its_deviance_and_least_at_the_demand) {
  for (const double power : {1.1, 1.5, 1.9})
    for (const double y : {0.0, 0.3, 8.0})
      for (const double mean : {0.01, 0.3, 5.0}) {
        const double deviance = std::pow(std::max(y, 0.0), 2.0 - power) / ((1.0 - power) * (2.0 - power)) -
                                y * std::pow(mean, 1.0 - power) / (1.0 - power) +
                                std::pow(mean, 2.0 - power) / (2.0 - power);
        const double loss = tweedie_loss(doubles({y}), doubles({mean}), power).item<double>();
        EXPECT_NEAR(loss, deviance, 1e-12 + 1e-12 * std::abs(deviance));
        EXPECT_GE(loss, -1e-12);
      }
  EXPECT_NEAR(tweedie_loss(doubles({2.5}), doubles({2.5}), 1.5).item<double>(), 0.0, 1e-12);
}

TEST(PositiveMean, is_the_mean_until_it_bends_and_never_reaches_zero) {
  at::Tensor mean = doubles({7.0, 0.1, 0.1 - 1e-9, 0.0, -3.0, -1e6}).set_requires_grad(true);
  const at::Tensor bent = positive_mean(mean);
  EXPECT_EQ(bent[0].item<double>(), 7.0);
  EXPECT_EQ(bent[1].item<double>(), 0.1);
  EXPECT_NEAR(bent[2].item<double>(), 0.1 - 1e-9, 1e-15);
  EXPECT_NEAR(bent[3].item<double>(), 0.05, 1e-15);
  EXPECT_TRUE((bent > 0).all().item<bool>());
  EXPECT_TRUE((bent.slice(0, 0, 5) > bent.slice(0, 1, 6)).all().item<bool>());
  bent.sum().backward();
  EXPECT_TRUE((mean.grad() > 0).all().item<bool>());
  EXPECT_NEAR(mean.grad()[2].item<double>(), 1.0, 1e-6);
}

// Three levels, one window of two steps and one whose second target is missing.
struct Setting {
  Setting(ModelConfig::Counts counts, LossConfig::MeanLoss mean_loss) {
    config.model.counts = counts;
    config.model.loss = {.quantile = 0.0, .mean = 0.0, .mean_loss = mean_loss, .counts = 0.0};
    at::manual_seed(4);
    forecast.quantiles_bqh = at::randn({2, 3, 2});
    forecast.mean_bh = at::randn({2, 2}).set_requires_grad(true);
    forecast.loc_b = at::tensor({3.0F, 0.4F});
    forecast.scale_b = at::tensor({2.0F, 0.5F});
    forecast.dispersion_bh = (at::rand({2, 2}) + 0.2).set_requires_grad(true);
    if (counts == ModelConfig::Counts::zero_inflated)
      forecast.zeros_bh = at::randn({2, 2}).set_requires_grad(true);
    forecast.positive_means = config.model.positive_means();
  }
  at::Tensor loss() const { return loss_sums(forecast, {target, at::ones({2}), {}}, config).loss; }
  // In units of demand, bent where it is small.
  at::Tensor mean() const {
    const at::Tensor scale = forecast.scale_b.unsqueeze(1);
    return positive_mean(forecast.mean_bh + forecast.loc_b.unsqueeze(1) / scale).detach() * scale;
  }
  DemandModelConfig config = testing::small_config();
  Forecast forecast;
  at::Tensor target = at::tensor({4.0F, 0.0F, 1.0F, NAN}).view({2, 2});
};

TEST(LossSums, counts_are_judged_in_units_of_demand) {
  for (const auto counts : {ModelConfig::Counts::negative_binomial, ModelConfig::Counts::zero_inflated}) {
    Setting s(counts, LossConfig::MeanLoss::mse);
    s.config.model.loss.counts = 0.6;
    const auto wide = [](const at::Tensor& x) { return x.detach().to(at::kDouble).flatten().slice(0, 0, 3); };
    const at::Tensor y = wide(s.target), mean = wide(s.mean()), dispersion = wide(s.forecast.dispersion_bh);
    const at::Tensor expected = counts == ModelConfig::Counts::zero_inflated
                                    ? zero_inflated_loss(y, mean, dispersion, wide(s.forecast.zeros_bh))
                                    : negative_binomial_loss(y, mean, dispersion);
    const at::Tensor loss = s.loss();
    EXPECT_NEAR(loss.item<double>(), 0.6 * expected.sum().item<double>(), 1e-5);
    loss.backward();
    for (const at::Tensor& part : {s.forecast.mean_bh, s.forecast.dispersion_bh}) {
      EXPECT_TRUE(at::isfinite(part.grad()).all().item<bool>());
      EXPECT_EQ(part.grad()[1][1].item<float>(), 0.0F) << "a missing target has no gradient";
      EXPECT_NE(part.grad()[0][0].item<float>(), 0.0F);
    }
  }
}

TEST(LossSums, tweedie_is_judged_in_units_of_the_windows_scale) {
  Setting s(ModelConfig::Counts::none, LossConfig::MeanLoss::tweedie);
  s.config.model.loss.mean = 0.5;
  s.config.model.loss.tweedie_power = 1.3;
  s.forecast.positive_means = s.config.model.positive_means();
  ASSERT_TRUE(s.forecast.positive_means);
  const at::Tensor scale = s.forecast.scale_b.unsqueeze(1);
  const at::Tensor each = tweedie_loss(s.target / scale, s.mean() / scale, 1.3).flatten().slice(0, 0, 3);
  EXPECT_NEAR(s.loss().item<double>(), 0.5 * each.sum().item<double>(), 1e-5);
}

TEST(LossSums, huber_is_a_parabola_with_lines) {
  Setting s(ModelConfig::Counts::none, LossConfig::MeanLoss::huber);
  s.config.model.loss.mean = 1.0;
  s.config.model.loss.huber_delta = 0.7;
  double expected = 0;
  for (const auto& [b, h] : {std::pair{0, 0}, {0, 1}, {1, 0}}) {
    const double y = (s.target[b][h].item<double>() - s.forecast.loc_b[b].item<double>()) /
                     s.forecast.scale_b[b].item<double>();
    const double error = std::abs(y - s.forecast.mean_bh[b][h].item<double>());
    expected += error <= 0.7 ? 0.5 * error * error : 0.7 * (error - 0.35);
  }
  EXPECT_NEAR(s.loss().item<double>(), expected, 1e-5);
}

TEST(Forecast, quantiles_of_counts_are_those_of_their_distribution) {
  Setting s(ModelConfig::Counts::zero_inflated, LossConfig::MeanLoss::mse);
  s.forecast.count_levels = {0.1, 0.5, 0.9};
  const at::Tensor quantiles = s.forecast.demand_quantiles_bqh(0.0), mean = s.mean();
  for (int b = 0; b < 2; ++b)
    for (int h = 0; h < 2; ++h) {
      const double share = 1.0 / (1.0 + std::exp(-s.forecast.zeros_bh[b][h].item<double>()));
      double cumulated = share;
      std::vector<double> want;
      for (int k = 0; want.size() < 3; ++k) {
        cumulated += (1.0 - share) * probability(k, mean[b][h].item<double>() / (1.0 - share),
                                                 s.forecast.dispersion_bh[b][h].item<double>());
        while (want.size() < 3 && cumulated >= s.forecast.count_levels[want.size()]) want.push_back(k);
      }
      for (int q = 0; q < 3; ++q)
        EXPECT_EQ(quantiles[b][q][h].item<double>(), want[static_cast<std::size_t>(q)]);
      EXPECT_FLOAT_EQ(s.forecast.demand_mean_bh(0.0)[b][h].item<float>(), mean[b][h].item<float>());
    }
}

}  // namespace
}  // namespace shelfcast::models
