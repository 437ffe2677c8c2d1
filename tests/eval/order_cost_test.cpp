#include "eval/order_cost.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "base/random.h"
#include "eval/backtest.h"
#include "tests/eval/small_panel.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast::eval {
namespace {

const OrderConfig kConfig{2, 1, 0.9};  // reviewed every 2 steps, orders arrive after 1: levels cover 3

OrderSums simulated(std::span<const float> mean, std::span<const float> target, double safety) {
  return simulate_orders(kConfig, mean, target, std::array{safety}).front();
}

TEST(OrderCost, follows_the_policy_step_by_step_where_forecasts_are_right) {
  const std::vector<float> ones(7, 1.0F);
  const OrderSums sums = simulated(ones, ones, 0.0);
  EXPECT_EQ(sums.demand, 7);
  EXPECT_EQ(sums.lost, 0);
  EXPECT_EQ(sums.held, 2 + 1 + 0 + 1 + 0 + 1 + 0);
  EXPECT_EQ(sums.steps, 7);
}

TEST(OrderCost, loses_what_is_not_there_and_orders_up_to_the_level_again) {
  const std::vector<float> ones(7, 1.0F), twos(7, 2.0F);
  const OrderSums sums = simulated(ones, twos, 0.0);
  EXPECT_EQ(sums.demand, 14);
  EXPECT_EQ(sums.lost, 1 + 2 + 1 + 2);
  EXPECT_EQ(sums.held, 1 + 1);
  EXPECT_LT(simulated(ones, twos, 1.0).lost, 6);
}

TEST(OrderCost, leaves_out_steps_that_were_not_observed_or_no_interval_covers) {
  const std::vector<float> ones(8, 1.0F);  // the last interval begins at 4 and ends at 7
  EXPECT_EQ(simulated(ones, ones, 0.0).steps, 7);
  std::vector<float> gap = ones;
  gap[1] = kNan;
  const OrderSums sums = simulated(ones, gap, 0.0);
  EXPECT_EQ(sums.steps, 6);
  EXPECT_EQ(sums.demand, 6);
  EXPECT_EQ(simulated(std::vector<float>(2, 1.0F), ones, 0.0).steps, 0);  // no whole interval
}

// Order by order, in units that floating-point numbers hold exactly.
OrderSums one_by_one(const OrderConfig& config, std::span<const float> mean, std::span<const float> target,
                     double safety) {
  struct Order {
    std::int64_t arrives;
    double units;
  };
  const std::int64_t interval = config.lead + config.review, horizon = std::ssize(mean);
  std::vector<Order> orders;
  OrderSums sums;
  double shelf = 0.0;
  std::int64_t last_review = -1;
  for (std::int64_t t = 0; t + interval <= horizon; t += config.review) last_review = t;
  for (std::int64_t t = 0; last_review >= 0 && t < last_review + interval; ++t) {
    if (t % config.review == 0 && t <= last_review) {
      double level = safety, coming = 0.0;
      for (std::int64_t i = t; i < t + interval; ++i) level += mean[static_cast<std::size_t>(i)];
      if (t == 0) shelf = std::max(0.0, level);
      for (const Order& order : orders) coming += order.arrives >= t ? order.units : 0.0;
      orders.push_back({t + config.lead, std::max(0.0, std::max(0.0, level) - shelf - coming)});
    }
    for (const Order& order : orders) shelf += order.arrives == t ? order.units : 0.0;
    const double demand = target[static_cast<std::size_t>(t)];
    if (std::isnan(demand)) continue;
    const double sold = std::min(shelf, std::max(0.0, demand));
    shelf -= sold;
    sums.demand += std::max(0.0, demand);
    sums.lost += std::max(0.0, demand) - sold;
    sums.held += shelf;
    sums.steps += 1.0;
  }
  return sums;
}

TEST(OrderCost, of_many_safety_stocks_is_that_of_each_order_by_order) {
  RandomStream random(5);
  const std::array safety{-3.0, 0.0, 0.5, 2.0, 40.0};
  for (std::int64_t review = 1; review <= 4; ++review) {
    for (std::int64_t lead = 0; lead <= 6; ++lead) {
      std::vector<float> mean(23), target(23);
      for (float& value : mean) value = static_cast<float>(random.below(9)) - 1.0F;
      for (float& value : target) value = static_cast<float>(random.below(12)) - 1.0F;
      target[random.below(23)] = kNan;
      const OrderConfig config{review, lead, 0.9};
      const auto sums = simulate_orders(config, mean, target, safety);
      ASSERT_EQ(sums.size(), safety.size());
      for (std::size_t f = 0; f < safety.size(); ++f) {
        const OrderSums expected = one_by_one(config, mean, target, safety[f]);
        EXPECT_EQ(sums[f].demand, expected.demand) << review << ' ' << lead << ' ' << safety[f];
        EXPECT_EQ(sums[f].lost, expected.lost) << review << ' ' << lead << ' ' << safety[f];
        EXPECT_EQ(sums[f].held, expected.held) << review << ' ' << lead << ' ' << safety[f];
        EXPECT_EQ(sums[f].steps, expected.steps);
      }
    }
  }
}

TEST(OrderCost, takes_the_safety_stock_that_was_cheapest_before) {
  const OrderCells cells{1, 2};
  KeyedSums sums(cells.cells(), OrderCells::kWidth);
  for (std::size_t f = 0; f < safety_factors().size(); ++f) {
    // On the first origin factor 3 is the cheapest; on the second, which must not be looked at, factor 5 is.
    const double first = std::abs(static_cast<double>(f) - 3.0),
                 second = std::abs(static_cast<double>(f) - 5.0);
    sums.add(cells(0, 0, f), std::array{10.0, 0.0, first, 5.0});
    sums.add(cells(0, 1, f), std::array{10.0, 1.0, second, 5.0});
  }
  const std::vector<std::int64_t> origins = {100, 107};
  const auto scores = order_scores(kConfig, sums, origins, 7, {"all of them"});
  ASSERT_EQ(scores.size(), 2U);
  EXPECT_EQ(scores.front().level, "all of them");
  for (const OrderScores& level : scores) {
    // Held 2, lost 1 at 2 x 0.9 / 0.1 = 18 units each, over a demand of 10.
    EXPECT_NEAR(*level.scores[0].value, (2.0 + 18.0) / 10.0, 1e-12);
    EXPECT_NEAR(*level.scores[1].value, 0.9, 1e-12);
    EXPECT_NEAR(*level.scores[2].value, 0.2, 1e-12);
    EXPECT_EQ(level.scores[0].n, 5);
  }
  // A first window that reaches beyond the second origin teaches nothing.
  EXPECT_FALSE(order_scores(kConfig, sums, origins, 8, {"x"}).back().scores[0].value);
  const OrderCells one{1, 1};
  EXPECT_FALSE(
      order_scores(kConfig, KeyedSums(one.cells(), OrderCells::kWidth), std::span(origins).first(1), 7, {"x"})
          .back()
          .scores[0]
          .value);
}

TEST(OrderCost, of_a_backtest_is_least_for_who_knows_the_future) {
  const testing::TemporaryFolder folder;
  const SmallPanel panel = make_small_panel();
  write_panel(panel, folder / "small.corpus");
  class Oracle final : public Forecaster {
   public:
    const std::string& name() const override { return name_; }
    void forecast(const data::Batch& batch, ForecastValues& values) override {
      values.mean_bh = batch.target_bh;
      for (float& value : values.mean_bh)
        if (std::isnan(value)) value = 0.0F;
      values.median_bh = values.mean_bh;
    }

   private:
    std::string name_ = "oracle";
  } oracle;
  BacktestConfig config;
  config.origins = 3;
  config.stride = 5;
  config.horizon = 7;
  config.bootstrap = 0;
  config.orders = kConfig;
  config.by = {"category"};
  const auto single = parallel::make_single();
  const auto spec = data::make_features(small_config(28, 7), data::Corpus(folder / "small.corpus"), 30);
  const BacktestResult result = run_backtest(config, folder / "small.corpus", spec, {&oracle}, 40, *single);
  const GroupScores& known = result.forecasters.front().overall;
  EXPECT_NEAR(*known.score("fill_rate").value, 1.0, 1e-9);
  for (std::size_t i = 1; i < result.forecasters.size(); ++i)
    EXPECT_LT(*known.score("order_cost").value, *result.forecasters[i].overall.score("order_cost").value);
  std::int64_t targets = 0;  // of the last origin: no window had ended by the one before
  for (std::int64_t s = 0; s < panel.series; ++s)
    for (std::int64_t t = 57; t < 57 + 7; ++t) targets += std::isnan(panel.at(s, t)) ? 0 : 1;
  EXPECT_EQ(known.score("order_cost").n, targets);
  EXPECT_EQ(result.forecasters.front().groups.front().group, "orders");
}

}  // namespace
}  // namespace shelfcast::eval
