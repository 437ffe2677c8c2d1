#include "scorer/orders/lead_time_demand.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "scorer/orders/normal.h"

namespace shelfcast::scorer {
namespace {

std::vector<double> deciles() { return {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9}; }

std::vector<double> percentiles() {
  std::vector<double> levels;
  for (int i = 1; i < 100; ++i) levels.push_back(i / 100.0);
  return levels;
}

Correlation autoregressive(int size, double phi) {
  Correlation matrix = Correlation::identity(size);
  for (int i = 0; i < size; ++i)
    for (int j = 0; j < size; ++j) matrix(i, j) = std::pow(phi, std::abs(i - j));
  return matrix;
}

Correlation perfect(int size) { return autoregressive(size, 1.0); }

// The same quantiles on every day.
std::vector<float> every_day(int days, const std::vector<float>& quantiles) {
  std::vector<float> all;
  for (int day = 0; day < days; ++day) all.insert(all.end(), quantiles.begin(), quantiles.end());
  return all;
}

TEST(LeadTimeDemand, of_one_day_is_that_day) {
  const std::vector<float> values = {0, 1, 2, 3, 4, 6, 8, 9, 14};
  const LeadTimeDemand demand(deciles(), autoregressive(3, 0.5));
  const DemandDistribution sum = demand.over(every_day(3, values), 1);
  const std::vector<double> levels = deciles();
  const Marginal day(levels, values);
  for (const double p : {0.05, 0.3, 0.5, 0.77, 0.95, 0.99})
    EXPECT_NEAR(sum.quantile(p), day.quantile(p), 0.03);
}

TEST(LeadTimeDemand, of_perfectly_dependent_days_is_the_sum_of_their_quantiles) {
  std::vector<float> quantiles;
  for (int day = 0; day < 5; ++day)
    for (int i = 0; i < 9; ++i) quantiles.push_back(static_cast<float>((day + 1) * i * i) / 3.0F);
  const LeadTimeDemand demand(deciles(), perfect(5));
  const DemandDistribution sum = demand.over(quantiles, 5);
  const std::vector<double> levels = deciles();
  for (const double p : {0.1, 0.25, 0.5, 0.9, 0.97}) {
    double expected = 0.0;
    for (std::size_t day = 0; day < 5; ++day)
      expected += Marginal(levels, std::span(quantiles).subspan(day * 9, 9)).quantile(p);
    EXPECT_NEAR(sum.quantile(p), expected, 0.01 * expected + 0.05) << p;
  }
}

// Exponential days, whose tail the marginals continue exactly: the sum is Erlang.
TEST(LeadTimeDemand, of_independent_exponential_days_is_erlang) {
  std::vector<float> values;
  for (const double level : percentiles())
    values.push_back(static_cast<float>(-10.0 * std::log(1.0 - level)));
  PathOptions options;
  options.paths = 8192;
  const LeadTimeDemand demand(percentiles(), Correlation::identity(7), options);
  const DemandDistribution sum = demand.over(every_day(7, values), 7);
  const auto erlang = [](double x) {
    double term = 1.0, rest = 0.0;
    for (int k = 0; k < 7; ++k) rest += term, term *= x / 10.0 / (k + 1);
    return 1.0 - std::exp(-x / 10.0) * rest;
  };
  for (const double p : {0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99})
    EXPECT_NEAR(erlang(sum.quantile(p)), p, 0.015) << p;  // about three standard errors of 8192 paths
  EXPECT_NEAR(sum.mean, 70.0, 0.3);
}

// Whole units drawn from a curve through (P(Y <= y), y + 1/2): the sum is Poisson again.
TEST(LeadTimeDemand, of_independent_poisson_days_is_poisson) {
  const double mean = 1.7;
  std::vector<double> levels;
  std::vector<float> values;
  double probability = std::exp(-mean), cdf = probability;
  for (int y = 0; y < 9; ++y) {
    levels.push_back(cdf);
    values.push_back(static_cast<float>(y) + 0.499F);
    probability *= mean / (y + 1);
    cdf += probability;
  }
  PathOptions options;
  options.paths = 8192;
  options.rounding = PathOptions::Rounding::units;
  const LeadTimeDemand demand(levels, Correlation::identity(9), options);
  const DemandDistribution sum = demand.over(every_day(9, values), 9);
  EXPECT_NEAR(sum.mean, 9 * mean, 0.15);
  double term = std::exp(-9 * mean), total = term;
  for (int k = 0; k < 30; ++k) {
    EXPECT_NEAR(sum.cdf(k), total, 0.02) << k;
    term *= 9 * mean / (k + 1);
    total += term;
  }
}

// Ten days of 0.3 to 0.4 kg, all levels on a line: the sum's mean is that of the days, where whole units a
// day would make it 0.
TEST(LeadTimeDemand, of_days_below_half_a_kilogram_is_what_the_days_add_up_to) {
  std::vector<float> values;
  for (const double level : deciles()) values.push_back(static_cast<float>(0.3 + 0.1 * level));
  const LeadTimeDemand demand(deciles(), Correlation::identity(10),
                              order_path_options(DemandKind::continuous));
  const DemandDistribution sum = demand.over(every_day(10, values), 10);
  EXPECT_NEAR(sum.mean, 3.5, 0.01);
  // Of a uniform day the variance is 0.1^2 / 12; the tails beyond the outer levels add little.
  EXPECT_NEAR(sum.quantile(0.95), 3.5 + 1.645 * 0.1 * std::sqrt(10.0 / 12.0), 0.03);
}

TEST(LeadTimeDemand, its_mean_is_that_of_its_days_whatever_their_dependence) {
  const std::vector<float> values = {0, 0, 1, 1, 2, 3, 5, 8, 20};
  const double alone = LeadTimeDemand(deciles(), perfect(10)).over(every_day(10, values), 1).mean;
  for (const double phi : {0.0, 0.5, 1.0}) {
    const LeadTimeDemand demand(deciles(), autoregressive(10, phi));
    EXPECT_NEAR(demand.over(every_day(10, values), 10).mean, 10 * alone, 1e-3 * alone);
  }
}

TEST(LeadTimeDemand, dependence_widens_and_never_moves_the_sum) {
  const std::vector<float> values = {2, 3, 4, 5, 6, 7, 8, 9, 10};
  double width = 0.0;
  for (const double phi : {0.0, 0.5, 0.9, 1.0}) {
    const DemandDistribution sum =
        LeadTimeDemand(deciles(), autoregressive(14, phi)).over(every_day(14, values), 14);
    const double now = sum.quantile(0.9) - sum.quantile(0.1);
    EXPECT_GT(now, width);
    width = now;
  }
}

TEST(LeadTimeDemand, is_the_same_every_time_and_depends_on_its_seed) {
  const std::vector<float> quantiles = every_day(6, {0, 1, 2, 3, 4, 6, 8, 9, 14});
  PathOptions other;
  other.seed = 18;
  const auto samples = [&](PathOptions options) {
    return LeadTimeDemand(deciles(), autoregressive(6, 0.4), options).over(quantiles, 6).samples;
  };
  EXPECT_EQ(samples({}), samples({}));
  EXPECT_NE(samples({}), samples(other));
}

TEST(LeadTimeDemand, a_varying_lead_time_mixes_its_lengths) {
  const std::vector<float> constant = every_day(10, std::vector<float>(9, 2.0F));
  const LeadTimeDemand demand(deciles(), Correlation::identity(10));
  const std::array<IntervalShare, 3> lengths = {{{4, 0.5}, {6, 0.25}, {10, 0.25}}};
  const DemandDistribution sum = demand.over(constant, lengths);
  EXPECT_NEAR(sum.mean, 2.0 * (4 * 0.5 + 6 * 0.25 + 10 * 0.25), 1e-6);
  EXPECT_NEAR(sum.cdf(8.0), 0.5, 1e-9);
  EXPECT_NEAR(sum.cdf(12.0), 0.75, 1e-9);
  EXPECT_EQ(sum.samples.size(), 1024U);
}

TEST(LeadTimeDemand, an_interval_beyond_the_horizon_is_an_error_that_names_both) {
  const LeadTimeDemand demand(deciles(), Correlation::identity(7));
  const std::vector<float> quantiles = every_day(7, std::vector<float>(9, 1.0F));
  EXPECT_THROW(demand.over(quantiles, 0), Error);
  try {
    demand.over(quantiles, 9);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("9 steps is not within the forecast of 7 steps"),
              std::string::npos);
  }
}

TEST(DemandDistribution, shortage_and_surplus_are_means_over_the_samples) {
  const DemandDistribution demand{{0, 2, 4, 10}, 4.0};
  EXPECT_DOUBLE_EQ(demand.expected_shortage(3.0), (1.0 + 7.0) / 4);
  EXPECT_DOUBLE_EQ(demand.expected_surplus(3.0), (3.0 + 1.0) / 4);
}

// Demand with autocorrelated errors, forecast by the right quantiles of each day.
struct World {
  static constexpr int kHorizon = 21;
  static constexpr double kPhi = 0.7, kMean = 100.0, kDeviation = 20.0;
  double believed = kDeviation;  // what the forecaster takes the deviation for

  std::vector<float> quantiles() const {
    std::vector<float> day;
    for (const double level : deciles())
      day.push_back(static_cast<float>(kMean + believed * normal_quantile(level)));
    return every_day(kHorizon, day);
  }
  static std::vector<double> path(std::uint64_t number) {
    RandomStream draw(mix(99, number));
    std::vector<double> demand;
    double score = draw.normal();
    for (int day = 0; day < kHorizon; ++day) {
      demand.push_back(kMean + kDeviation * score);
      score = kPhi * score + std::sqrt(1.0 - kPhi * kPhi) * draw.normal();
    }
    return demand;
  }
  Correlation estimate(int windows) const {
    const std::vector<double> levels = deciles();
    const std::vector<float> values = quantiles();
    const Marginal marginal(levels, std::span(values).first(9));
    CopulaEstimator estimator(kHorizon);
    for (int w = 0; w < windows; ++w) {
      std::vector<double> pits;
      for (const double demand : path(static_cast<std::uint64_t>(w)))
        pits.push_back(randomised_pit(marginal, demand, 0.5, DemandKind::continuous));
      estimator.add(pits);
    }
    return estimator.estimate();
  }
  static double sum(std::uint64_t number, int days) {
    double total = 0.0;
    const std::vector<double> demand = path(number);
    for (int day = 0; day < days; ++day) total += demand[static_cast<std::size_t>(day)];
    return total;
  }
  // The share of sums over `days` of paths nobody has seen inside the central interval.
  static double coverage(const DemandDistribution& forecast, int days, double share) {
    const double low = forecast.quantile(0.5 - share / 2), high = forecast.quantile(0.5 + share / 2);
    int inside = 0;
    const int paths = 4000;
    for (int i = 0; i < paths; ++i) {
      const double total = sum(static_cast<std::uint64_t>(1'000'000 + i), days);
      inside += total >= low && total <= high;
    }
    return static_cast<double>(inside) / paths;
  }
};

TEST(Coverage, of_summed_demand_is_right_with_the_copula_and_far_too_low_without) {
  const World world;
  const LeadTimeDemand with(deciles(), world.estimate(1500)),
      without(deciles(), Correlation::identity(World::kHorizon));
  for (const int days : {1, 7, 21})
    for (const double share : {0.5, 0.8, 0.95})
      EXPECT_NEAR(World::coverage(with.over(world.quantiles(), days), days, share), share, 0.04)
          << days << ' ' << share;
  EXPECT_LT(World::coverage(without.over(world.quantiles(), 7), 7, 0.8), 0.65);
  EXPECT_LT(World::coverage(without.over(world.quantiles(), 21), 21, 0.8), 0.55);
  EXPECT_LT(World::coverage(without.over(world.quantiles(), 21), 21, 0.95), 0.80);
}

TEST(Coverage, of_a_forecaster_too_sure_of_himself_is_mended_by_recalibration) {
  World world;
  world.believed = 0.6 * World::kDeviation;
  const Correlation correlation = world.estimate(1500);
  const LeadTimeDemand raw(deciles(), correlation);
  Recalibration recalibration;
  for (const int days : {7, 21}) {
    const DemandDistribution forecast = raw.over(world.quantiles(), days);
    std::vector<double> pits;
    for (int w = 0; w < 1500; ++w)
      pits.push_back(
          forecast.pit(World::sum(static_cast<std::uint64_t>(w), days), 0.5, DemandKind::continuous));
    recalibration.fit(days, pits);
  }
  const LeadTimeDemand mended(deciles(), correlation, {}, recalibration);
  for (const int days : {7, 14, 21}) {  // 14 lies between the fitted lengths
    EXPECT_LT(World::coverage(raw.over(world.quantiles(), days), days, 0.8), 0.70);
    EXPECT_NEAR(World::coverage(mended.over(world.quantiles(), days), days, 0.5), 0.5, 0.04);
    EXPECT_NEAR(World::coverage(mended.over(world.quantiles(), days), days, 0.8), 0.8, 0.04);
  }
}

TEST(Recalibration, changes_nothing_for_uniform_pits_and_without_any) {
  Recalibration uniform;
  std::vector<double> pits;
  for (int i = 0; i < 999; ++i) pits.push_back((i + 1) / 1000.0);
  uniform.fit(7, pits);
  for (const double p : {0.0, 0.003, 0.1, 0.5, 0.93, 0.999, 1.0}) {
    EXPECT_NEAR(uniform.level(p, 7), p, 1e-3);
    EXPECT_NEAR(uniform.level(p, 30), p, 1e-3);
    EXPECT_EQ(Recalibration().level(p, 7), p);
  }
}

TEST(Recalibration, is_monotone_and_barely_moved_by_few_pits) {
  Recalibration recalibration;
  recalibration.fit(7, {0.99, 0.98, 0.97, 0.985, 0.995});
  double before = 0.0;
  for (double p = 0.0; p <= 1.0; p += 0.01) {
    const double level = recalibration.level(p, 7);
    EXPECT_GE(level, before);
    EXPECT_NEAR(level, p, 0.1);
    before = level;
  }
}

TEST(Recalibration, refuses_no_pits_and_damaged_maps) {
  Recalibration recalibration;
  EXPECT_THROW(recalibration.fit(7, {}), Error);
  EXPECT_THROW(recalibration.set(7, {0.0, 1.0}), Error);
  std::vector<double> falling(Recalibration::kLevels.begin(), Recalibration::kLevels.end());
  std::swap(falling[4], falling[5]);
  EXPECT_THROW(recalibration.set(7, falling), Error);
}

}  // namespace
}  // namespace shelfcast::scorer
