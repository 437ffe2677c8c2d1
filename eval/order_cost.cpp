#include "eval/order_cost.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <utility>

namespace shelfcast::eval {
namespace {

constexpr std::array<double, 17> kFactors{0.0,  0.25, 0.5,  0.75, 1.0, 1.25, 1.5, 1.75, 2.0,
                                          2.25, 2.5,  2.75, 3.0,  3.5, 4.0,  5.0, 6.0};

std::size_t whole(std::int64_t value) { return static_cast<std::size_t>(value); }

double cost_of_lost(const OrderConfig& config) {
  return static_cast<double>(config.review) * config.service / (1.0 - config.service);
}

OrderSums sums_at(std::span<const double> cell) { return {cell[0], cell[1], cell[2], cell[3]}; }

void add(OrderSums& sums, const OrderSums& part) {
  sums.demand += part.demand;
  sums.lost += part.lost;
  sums.held += part.held;
  sums.steps += part.steps;
}

double cost(const OrderConfig& config, const OrderSums& sums) {
  return sums.held + cost_of_lost(config) * sums.lost;
}

// The factor that was cheapest on the origins before `origin`.
std::size_t cheapest(const OrderConfig& config, const KeyedSums& sums, const OrderCells& cells,
                     std::size_t level, std::size_t origin) {
  std::array<double, kFactors.size()> costs{};
  for (std::size_t before = 0; before < origin; ++before)
    for (std::size_t f = 0; f < costs.size(); ++f)
      costs[f] += cost(config, sums_at(sums[cells(level, before, f)]));
  return static_cast<std::size_t>(std::ranges::min_element(costs) - costs.begin());
}

Score ratio(const char* metric, double numerator, double denominator, double n) {
  Score score{metric, std::nullopt, static_cast<std::int64_t>(n)};
  if (denominator > 0) score.value = numerator / denominator;
  return score;
}

std::vector<Score> scores_of(const OrderConfig& config, const OrderSums& sums) {
  return {ratio("order_cost", cost(config, sums), sums.demand, sums.steps),
          ratio("fill_rate", sums.demand - sums.lost, sums.demand, sums.steps),
          ratio("stock_cover", sums.held, sums.demand, sums.steps)};
}

}  // namespace

std::span<const double> safety_factors() { return kFactors; }

OrderSums simulate_orders(const OrderConfig& config, std::span<const float> mean,
                          std::span<const float> target, double safety) {
  const std::int64_t interval = config.lead + config.review, horizon = std::ssize(mean);
  const auto level_at = [&](std::int64_t review) {
    double sum = safety;
    for (std::int64_t t = review; t < review + interval; ++t) sum += mean[whole(t)];
    return std::max(0.0, sum);
  };
  OrderSums sums;
  if (interval > horizon) return sums;
  const std::int64_t end = (horizon - interval) / config.review * config.review + interval;
  double on_hand = level_at(0), on_order = 0.0;
  std::deque<std::pair<std::int64_t, double>> orders;  // when they arrive, units
  for (std::int64_t t = 0; t < end; ++t) {
    if (t % config.review == 0 && t + interval <= horizon) {
      const double order = std::max(0.0, level_at(t) - on_hand - on_order);
      orders.emplace_back(t + config.lead, order);
      on_order += order;
    }
    while (!orders.empty() && orders.front().first == t) {
      on_hand += orders.front().second;
      on_order -= orders.front().second;
      orders.pop_front();
    }
    const double demand = target[whole(t)];
    if (std::isnan(demand)) continue;
    const double sold = std::clamp(demand, 0.0, on_hand);
    on_hand -= sold;
    sums.demand += std::max(0.0, demand);
    sums.lost += std::max(0.0, demand) - sold;
    sums.held += on_hand;
    sums.steps += 1.0;
  }
  return sums;
}

double interval_deviation(const OrderConfig& config, double squared_scale) {
  if (!(squared_scale > 0)) return 0.0;
  return std::sqrt(static_cast<double>(config.lead + config.review) * squared_scale / 2.0);
}

std::vector<OrderScores> order_scores(const OrderConfig& config, const KeyedSums& sums,
                                      const OrderCells& cells, const std::vector<std::string>& categories) {
  std::vector<OrderScores> scores;
  OrderSums all;
  for (std::size_t level = 0; level < cells.levels; ++level) {
    OrderSums total;
    for (std::size_t origin = 1; origin < cells.origins; ++origin)
      add(total, sums_at(sums[cells(level, origin, cheapest(config, sums, cells, level, origin))]));
    scores.push_back({categories[level], scores_of(config, total)});
    add(all, total);
  }
  scores.push_back({"all", scores_of(config, all)});
  return scores;
}

}  // namespace shelfcast::eval
