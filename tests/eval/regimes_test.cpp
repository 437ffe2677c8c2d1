#include "eval/regimes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/error.h"
#include "eval/backtest.h"
#include "tests/eval/small_panel.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast::eval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Regimes, compare_prices_with_those_before_the_origin_alone) {
  const std::vector<float> price{100, 100, 2, 2, kNan, 2, 1.89F, 1.91F, 2.09F, 2.11F, kNan};
  // The 28 steps before step 6 hold 100 twice; those before step 2, only those.
  const Regime regime{Regime::Kind::price, 0};
  EXPECT_THAT(regime_levels(regime, price, 2, 2), ElementsAre(0U, 0U));
  EXPECT_THAT(regime_levels(regime, std::span(price).subspan(2), 4, 5), ElementsAre(0U, 1U, 1U, 2U, 3U));
  EXPECT_THAT(regime_levels(regime, std::vector<float>{kNan, 3}, 1, 1), ElementsAre(3U));  // nothing before
}

TEST(Regimes, take_any_promotion_above_zero_for_one) {
  EXPECT_THAT(regime_levels({Regime::Kind::promotion, 0}, std::vector<float>{1, 0, 1, kNan, 0.2F}, 1, 4),
              ElementsAre(0U, 1U, 2U, 1U));
}

TEST(Regimes, share_out_the_judged_steps_of_a_backtest) {
  const testing::TemporaryFolder folder;
  const SmallPanel panel = make_small_panel();
  write_panel(panel, folder / "small.corpus");
  BacktestConfig config;
  config.origins = 2;
  config.stride = config.horizon = 7;
  config.batch = 5;
  config.baselines = {"naive"};
  config.by = {"promotion", "price", "horizon"};
  config.promotion = "traffic";
  config.price = "price";
  config.orders.review = 0;
  const auto single = parallel::make_single();
  const auto spec = data::make_features(small_config(28, 7), data::Corpus(folder / "small.corpus"), 30);
  const BacktestResult result = run_backtest(config, folder / "small.corpus", spec, {}, 40, *single);
  EXPECT_EQ(result.config.season, 7);  // of days

  std::map<std::string, std::int64_t> n;
  for (const std::int64_t origin : {50, 57}) {
    for (std::int64_t s = 0; s < panel.series; ++s) {
      for (std::int64_t t = origin; t < origin + 7; ++t) {
        if (std::isnan(panel.at(s, t))) continue;
        double usual = 0;
        for (std::int64_t u = origin - 28; u < origin; ++u)
          usual += panel.price[static_cast<std::size_t>(s * 70 + u)] / 28;
        const double price = panel.price[static_cast<std::size_t>(s * 70 + t)];
        ++n[price < 0.95 * usual ? "cut" : price > 1.05 * usual ? "rise" : "usual"];
        ++n[panel.traffic[static_cast<std::size_t>(s * 70 + t)] == 0 ? "no promotion" : "promotion"];
      }
    }
  }
  const std::vector<GroupScores>& groups = result.forecasters.front().groups;
  ASSERT_EQ(groups.size(), 3U + 4U + 7U);
  for (std::size_t i = 0; i < 7; ++i)
    EXPECT_EQ(groups[i].score("mae").n, n[groups[i].level]) << groups[i].level;
  EXPECT_GT(n["cut"], 0);
  EXPECT_GT(n["usual"], 0);

  config.promotion.clear();
  EXPECT_THROW(
      {
        try {
          run_backtest(config, folder / "small.corpus", spec, {}, 40, *single);
        } catch (const Error& error) {
          EXPECT_THAT(error.what(), HasSubstr("set backtest.promotion"));
          throw;
        }
      },
      Error);
}

}  // namespace
}  // namespace shelfcast::eval
