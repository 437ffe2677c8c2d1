#include "base/count_distribution.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace shelfcast {
namespace {

using Numbers = std::vector<double>;

const Numbers kLevels = {0.025, 0.1, 0.5, 0.9, 0.975, 0.999};

Numbers quantiles(const CountDistribution& distribution, const Numbers& levels = kLevels) {
  Numbers out(levels.size());
  distribution.quantiles(levels, out);
  return out;
}

// scipy.stats.nbinom.ppf(level, 1 / dispersion, 1 / (1 + dispersion * mean)) and poisson.ppf, scipy 1.16.
TEST(CountDistribution, quantiles_are_scipys) {
  EXPECT_EQ(quantiles({0.3, 2.0}), (Numbers{0, 0, 0, 1, 2, 5}));
  EXPECT_EQ(quantiles({4.0, 0.8}), (Numbers{0, 0, 3, 9, 15, 27}));
  EXPECT_EQ(quantiles({50.0, 0.1}), (Numbers{22, 29, 48, 73, 89, 119}));
  EXPECT_EQ(quantiles({2500.0, 0.05}), (Numbers{1523, 1813, 2458, 3241, 3714, 4596}));
  EXPECT_EQ(quantiles({1e4, 1e-3}), (Numbers{9360, 9577, 9997, 10427, 10660, 11055}));
  EXPECT_EQ(quantiles({1.0, 100.0}), (Numbers{0, 0, 0, 0, 5, 152}));
  EXPECT_EQ(quantiles({0.01}), (Numbers{0, 0, 0, 0, 0, 1}));
  EXPECT_EQ(quantiles({3.0}), (Numbers{0, 1, 3, 5, 7, 10}));
  EXPECT_EQ(quantiles({200.0}), (Numbers{173, 182, 200, 218, 228, 245}));
}

TEST(CountDistribution, quantiles_of_large_means_are_within_a_coarse_unit_of_scipys) {
  const auto expect_near = [](const CountDistribution& distribution, const Numbers& want) {
    const Numbers got = quantiles(distribution);
    for (std::size_t i = 0; i < want.size(); ++i)
      EXPECT_NEAR(got[i], want[i], 2e-4 * distribution.mean) << distribution.mean << " at " << kLevels[i];
  };
  expect_near({1e6, 0.3}, {230173, 393011, 901974, 1734451, 2324514, 3556211});
  expect_near({3e5, 1e-5}, {297856, 298597, 299999, 301405, 302150, 303395});
  expect_near({5e7, 2.0}, {49103, 789538, 22746821, 135277173, 251194310, 541378311});
}

// Every probability by itself, added up from 0.
TEST(CountDistribution, quantiles_with_further_zeros_are_those_of_the_summed_probabilities) {
  for (const double mean : {0.2, 3.0, 60.0})
    for (const double dispersion : {0.01, 0.7, 4.0})
      for (const double zeros : {0.0, 0.15, 0.6, 0.95}) {
        const double r = 1.0 / dispersion;
        Numbers want(kLevels.size(), -1.0);
        double cumulated = zeros;
        for (int k = 0; want.back() < 0; ++k) {
          cumulated += (1.0 - zeros) * std::exp(std::lgamma(k + r) - std::lgamma(r) - std::lgamma(k + 1.0) -
                                                r * std::log1p(mean / r) - k * std::log1p(r / mean));
          for (std::size_t i = 0; i < want.size(); ++i)
            if (want[i] < 0 && cumulated >= kLevels[i]) want[i] = k;
        }
        EXPECT_EQ(quantiles({mean, dispersion, zeros}), want) << mean << " " << dispersion << " " << zeros;
      }
}

TEST(CountDistribution, without_a_positive_mean_nothing_is_sold) {
  for (const double mean : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN(), HUGE_VAL})
    EXPECT_EQ(quantiles({mean, 0.5, 0.1}), Numbers(kLevels.size(), 0.0)) << mean;
}

TEST(CountDistribution, a_level_out_of_reach_ends) {
  EXPECT_LT(quantiles({1.0, 1.0}, {1.0 - 1e-16}).front(), 200.0);
}

}  // namespace
}  // namespace shelfcast
