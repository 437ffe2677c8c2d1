#include "scorer/orders/policies.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "scorer/orders/normal.h"

namespace shelfcast::scorer {
namespace {

DemandDistribution normal_demand(double mean, double deviation, int samples = 10000) {
  DemandDistribution demand;
  for (int k = 0; k < samples; ++k)
    demand.samples.push_back(static_cast<float>(mean + deviation * normal_quantile((k + 0.5) / samples)));
  demand.mean = mean;
  return demand;
}

PolicyConfig base_stock(double service_level) {
  PolicyConfig config;
  config.service_level = service_level;
  return config;
}

PolicyConfig newsvendor(double underage, double overage) {
  PolicyConfig config;
  config.policy = Policy::newsvendor;
  config.costs = UnitCosts{underage, overage};
  return config;
}

StockPosition position(double on_hand, double on_order) {
  StockPosition stock;
  stock.row = "row 3 (north-01/dairy-0001)";
  stock.on_hand = on_hand;
  stock.on_order = on_order;
  stock.lead_time = 5;
  stock.review_period = 2;
  return stock;
}

std::string message_of(const PolicyConfig& config, const StockPosition& stock) {
  try {
    decide(config, stock, normal_demand(10, 1, 100), DemandKind::counts);
  } catch (const Error& error) {
    return error.kind() == ErrorKind::input ? error.what() : "not an input error";
  }
  return "no error";
}

TEST(Policies, newsvendor_with_normal_demand_has_its_closed_form) {
  for (const auto& [underage, overage] : {std::pair{3.0, 1.0}, {1.0, 1.0}, {1.0, 4.0}, {19.0, 1.0}}) {
    const Order order =
        decide(newsvendor(underage, overage), position(0, 0), normal_demand(1000, 100), DemandKind::counts);
    const double level = 1000 + 100 * normal_quantile(underage / (underage + overage));
    EXPECT_NEAR(order.level, level, 1.1);  // whole units, rounded up
    EXPECT_NEAR(order.safety_stock, level - 1000, 1.1);
    EXPECT_EQ(order.order, order.level);
  }
}

TEST(Policies, newsvendor_level_minimises_the_expected_cost) {
  DemandDistribution demand;  // skewed
  RandomStream draw(5);
  for (int k = 0; k < 4000; ++k)
    demand.samples.push_back(static_cast<float>(draw.poisson(20.0 * draw.gamma(1.5) / 1.5)));
  std::sort(demand.samples.begin(), demand.samples.end());
  const UnitCosts costs{4.0, 1.5};
  const auto cost = [&](double level) {
    return costs.underage * demand.expected_shortage(level) + costs.overage * demand.expected_surplus(level);
  };
  int best = 0;
  for (int level = 1; level < 200; ++level)
    if (cost(level) < cost(best)) best = level;
  EXPECT_EQ(
      decide(newsvendor(costs.underage, costs.overage), position(0, 0), demand, DemandKind::counts).level,
      best);
}

// An inventory run day by day: orders every review, deliveries after the lead time, unmet demand waits. The
// cost is counted where a cycle ends, just before the next delivery.
double simulated_cost(int level, int lead, int review, UnitCosts costs) {
  RandomStream draw(11);
  std::vector<int> arriving(static_cast<std::size_t>(lead) + 1, 0);
  int net = level, on_order = 0, cycles = 0;
  double cost = 0.0;
  const int days = 60000;
  for (int day = 0; day < days; ++day) {
    int& arrival = arriving[static_cast<std::size_t>(day) % arriving.size()];
    if (day > 10 * (lead + review) && day % review == lead % review) {  // evening before, seen in the morning
      cost += net >= 0 ? costs.overage * net : -costs.underage * net;
      ++cycles;
    }
    net += arrival, on_order -= arrival;
    arrival = 0;
    if (day % review == 0) {
      const int order = level - net - on_order;
      on_order += order;
      if (lead == 0)
        net += order, on_order -= order;
      else
        arriving[static_cast<std::size_t>(day + lead) % arriving.size()] += order;
    }
    net -= static_cast<int>(draw.poisson(2.5));
  }
  return cost / cycles;
}

TEST(Policies, base_stock_level_minimises_the_cost_of_a_simulated_inventory) {
  const UnitCosts costs{9.0, 1.0};
  for (const auto& [lead, review] : {std::pair{4, 3}, {2, 1}, {0, 7}}) {
    DemandDistribution demand;
    RandomStream draw(12);
    for (int k = 0; k < 20000; ++k)
      demand.samples.push_back(static_cast<float>(draw.poisson(2.5 * (lead + review))));
    std::sort(demand.samples.begin(), demand.samples.end());
    PolicyConfig config;
    config.costs = costs;
    StockPosition stock = position(0, 0);
    stock.lead_time = lead, stock.review_period = review;
    const int level = static_cast<int>(decide(config, stock, demand, DemandKind::counts).level);
    double least = 1e300;
    for (int other = level - 8; other <= level + 8; ++other)
      least = std::min(least, simulated_cost(other, lead, review, costs));
    EXPECT_LT(simulated_cost(level, lead, review, costs), 1.01 * least) << lead << ' ' << review;
  }
}

TEST(Policies, a_higher_service_level_never_orders_less) {
  double before = 0.0;
  for (double service = 0.05; service < 1.0; service += 0.05) {
    const Order order =
        decide(base_stock(service), position(30, 10), normal_demand(60, 25), DemandKind::counts);
    EXPECT_GE(order.order, before);
    before = order.order;
  }
}

TEST(Policies, stock_on_hand_and_on_order_both_count) {
  const DemandDistribution demand = normal_demand(60, 10);
  const double level = decide(base_stock(0.9), position(0, 0), demand, DemandKind::counts).order;
  EXPECT_EQ(decide(base_stock(0.9), position(20, 0), demand, DemandKind::counts).order, level - 20);
  EXPECT_EQ(decide(base_stock(0.9), position(0, 20), demand, DemandKind::counts).order, level - 20);
  EXPECT_EQ(decide(base_stock(0.9), position(500, 0), demand, DemandKind::counts).order, 0.0);
}

TEST(Policies, orders_respect_minimum_and_pack) {
  EXPECT_EQ(order_quantity(0.0, 50, 12), 0.0);
  EXPECT_EQ(order_quantity(-3.0, 50, 12), 0.0);
  EXPECT_EQ(order_quantity(1.0, 0, 1), 1.0);
  EXPECT_EQ(order_quantity(13.0, 0, 12), 24.0);
  EXPECT_EQ(order_quantity(24.0, 0, 12), 24.0);
  EXPECT_EQ(order_quantity(24.0 + 1e-9, 0, 12), 24.0);
  EXPECT_EQ(order_quantity(1.0, 50, 12), 60.0);
  EXPECT_EQ(order_quantity(1.0, 48, 12), 48.0);
  EXPECT_EQ(order_quantity(70.0, 50, 12), 72.0);
  EXPECT_EQ(order_quantity(0.3, 0, 0.25), 0.5);
  EXPECT_EQ(order_quantity(1.0, 0, 2e6), 2e6);
}

TEST(Policies, the_reason_says_what_was_weighed) {
  StockPosition stock = position(12, 5);
  stock.pack = 12;
  const Order order = decide(base_stock(0.95), stock, normal_demand(34.2, 10), DemandKind::counts);
  EXPECT_EQ(order.level, 51.0);  // 34.2 + 1.645 * 10 = 50.6
  EXPECT_EQ(order.order, 36.0);
  EXPECT_EQ(order.reason,
            "34.2 expected over 7 days (lead 5 + review 2); 95 % service needs 51; 12 on hand and 5 on order "
            "leave 34 missing, "
            "packs of 12: order 36");
  EXPECT_NE(decide(base_stock(0.95), position(70, 0), normal_demand(34.2, 10), DemandKind::counts)
                .reason.find("70 on hand and 0 on order are enough"),
            std::string::npos);
  EXPECT_NE(decide(newsvendor(3, 1), stock, normal_demand(34.2, 10), DemandKind::counts)
                .reason.find("costs of 3 short and 1 over (covering 75 %)"),
            std::string::npos);
  stock.frequency = Frequency::weekly;
  EXPECT_NE(decide(base_stock(0.95), stock, normal_demand(34.2, 10), DemandKind::counts)
                .reason.find("over 7 weeks (lead 5 + review 2)"),
            std::string::npos);
}

// Demand of 3 to 5 kg: sample k stands at probability (k + 1/2) / 200, so the quantile at p is 3 + 2 p.
TEST(Policies, a_level_of_continuous_demand_is_its_quantile_and_not_the_next_whole_unit) {
  DemandDistribution demand;
  for (int k = 0; k < 200; ++k) demand.samples.push_back(static_cast<float>(3.0 + 2.0 * (k + 0.5) / 200));
  demand.mean = 4.0;
  const Order order = decide(base_stock(0.9), position(0, 0), demand, DemandKind::continuous);
  EXPECT_NEAR(order.level, 4.8, 1e-6);
  EXPECT_NEAR(order.safety_stock, 0.8, 1e-6);
  EXPECT_EQ(order.order, 5.0) << "packs of 1";
  EXPECT_NE(order.reason.find("needs 4.8; 0 on hand and 0 on order leave 4.8 missing, packs of 1: order 5"),
            std::string::npos)
      << order.reason;
  StockPosition fine = position(0.5, 0);
  fine.pack = 0.125;
  const Order packed = decide(base_stock(0.9), fine, demand, DemandKind::continuous);
  EXPECT_NEAR(packed.order, 4.375, 1e-12);
  EXPECT_NE(packed.reason.find("4.3 missing, packs of 0.125: order 4.375"), std::string::npos)
      << packed.reason;
  EXPECT_EQ(decide(base_stock(0.9), position(0, 0), demand, DemandKind::counts).level, 5.0);
}

TEST(Policies, a_bad_row_is_named_with_its_column) {
  StockPosition stock = position(-4, 0);
  EXPECT_NE(message_of(base_stock(0.9), stock).find("row 3 (north-01/dairy-0001): on_hand -4 is negative"),
            std::string::npos);
  stock = position(0, -1);
  EXPECT_NE(message_of(base_stock(0.9), stock).find("on_order -1 is negative"), std::string::npos);
  stock = position(std::nan(""), 0);
  EXPECT_NE(message_of(base_stock(0.9), stock).find("on_hand nan is not possible"), std::string::npos);
  stock = position(0, 0);
  stock.pack = 0;
  EXPECT_NE(message_of(base_stock(0.9), stock).find("a pack of 0 is not possible"), std::string::npos);
  stock = position(0, 0);
  stock.review_period = 0;
  EXPECT_NE(message_of(base_stock(0.9), stock).find("review_period 0 is not possible"), std::string::npos);
}

// Of 1000 samples the largest stands at 0.9995: every target above it would get the same order.
TEST(Policies, a_target_beyond_the_largest_sample_is_refused_and_none_is_called_100_percent) {
  const DemandDistribution demand = normal_demand(1000, 100, 1000);
  const auto refusal = [&](const PolicyConfig& config) -> std::string {
    try {
      decide(config, position(0, 0), demand, DemandKind::counts);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(decide(base_stock(0.9995), position(0, 0), demand, DemandKind::counts).level,
            std::ceil(demand.samples.back()));
  for (const PolicyConfig& config : {base_stock(0.9996), base_stock(0.999999), newsvendor(9999, 1)}) {
    const std::string message = refusal(config);
    EXPECT_NE(message.find("row 3 (north-01/dairy-0001): 0.999"), std::string::npos) << message;
    EXPECT_NE(message.find("1000 samples of demand tell at most 0.9995"), std::string::npos) << message;
  }
  const Order order =
      decide(base_stock(0.99996), position(0, 0), normal_demand(1000, 100, 20000), DemandKind::counts);
  EXPECT_NE(order.reason.find("99.99 % service"), std::string::npos) << order.reason;
}

TEST(Policies, a_policy_needs_exactly_one_goal) {
  const StockPosition stock = position(0, 0);
  EXPECT_NE(message_of(PolicyConfig{}, stock).find("has no goal"), std::string::npos);
  EXPECT_NE(message_of(base_stock(95), stock).find("a service level of 95 is not possible"),
            std::string::npos);
  PolicyConfig both = base_stock(0.9);
  both.costs = UnitCosts{1, 1};
  EXPECT_NE(message_of(both, stock).find("both a service level and costs"), std::string::npos);
  PolicyConfig vendor = base_stock(0.9);
  vendor.policy = Policy::newsvendor;
  EXPECT_NE(message_of(vendor, stock).find("newsvendor policy has no costs"), std::string::npos);
  EXPECT_NE(message_of(newsvendor(0, 1), stock).find("decide nothing"), std::string::npos);
  EXPECT_THROW(parse_policy("basestock"), Error);
  EXPECT_EQ(parse_policy(to_string(Policy::newsvendor)), Policy::newsvendor);
}

}  // namespace
}  // namespace shelfcast::scorer
