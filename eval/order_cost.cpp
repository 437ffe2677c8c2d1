#include "eval/order_cost.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

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

// The factor that was cheapest on the first `known` origins.
std::size_t cheapest(const OrderConfig& config, const KeyedSums& sums, const OrderCells& cells,
                     std::size_t level, std::size_t known) {
  std::array<double, kFactors.size()> costs{};
  for (std::size_t before = 0; before < known; ++before)
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

std::vector<OrderSums> simulate_orders(const OrderConfig& config, std::span<const float> mean,
                                       std::span<const float> target, std::span<const double> safety) {
  const std::int64_t interval = config.lead + config.review, horizon = std::ssize(mean);
  const std::size_t shelves = safety.size(), slots = whole(config.lead) + 1;
  std::vector<OrderSums> sums(shelves);
  if (interval > horizon) return sums;
  const std::int64_t end = (horizon - interval) / config.review * config.review + interval;
  // All safety stocks side by side: their steps differ in nothing but numbers.
  std::vector<double> held_now(shelves), on_order(shelves), lost(shelves), held(shelves);
  std::vector<double> arriving(slots * shelves);  // [step modulo slots][shelf]
  double demanded = 0.0, steps = 0.0;
  for (std::int64_t t = 0; t < end; ++t) {
    double* due = arriving.data() + whole(t) % slots * shelves;
    if (t % config.review == 0 && t + interval <= horizon) {
      const double expected = std::accumulate(mean.begin() + t, mean.begin() + t + interval, 0.0,
                                              [](double sum, float step) { return sum + double{step}; });
      double* ordered = arriving.data() + whole(t + config.lead) % slots * shelves;
      for (std::size_t f = 0; f < shelves; ++f) {
        const double level = std::max(0.0, expected + safety[f]);
        if (t == 0) held_now[f] = level;
        ordered[f] = std::max(0.0, level - held_now[f] - on_order[f]);
        on_order[f] += ordered[f];
      }
    }
    for (std::size_t f = 0; f < shelves; ++f) {
      held_now[f] += due[f];
      on_order[f] -= due[f];
      due[f] = 0.0;
    }
    if (std::isnan(target[whole(t)])) continue;
    const double demand = std::max(0.0, double{target[whole(t)]});
    demanded += demand;
    steps += 1.0;
    for (std::size_t f = 0; f < shelves; ++f) {
      const double sold = std::min(demand, held_now[f]);
      held_now[f] -= sold;
      lost[f] += demand - sold;
      held[f] += held_now[f];
    }
  }
  for (std::size_t f = 0; f < shelves; ++f) sums[f] = {demanded, lost[f], held[f], steps};
  return sums;
}

double interval_deviation(const OrderConfig& config, double squared_scale) {
  if (!(squared_scale > 0)) return 0.0;
  return std::sqrt(static_cast<double>(config.lead + config.review) * squared_scale / 2.0);
}

std::vector<OrderScores> order_scores(const OrderConfig& config, const KeyedSums& sums,
                                      std::span<const std::int64_t> origins, std::int64_t horizon,
                                      const std::vector<std::string>& categories) {
  const OrderCells cells{categories.size(), origins.size()};
  std::vector<OrderScores> scores;
  OrderSums all;
  for (std::size_t level = 0; level < cells.levels; ++level) {
    OrderSums total;
    for (std::size_t origin = 1; origin < cells.origins; ++origin) {
      // A window that reaches beyond the origin knows what is judged here.
      const auto known = static_cast<std::size_t>(std::ranges::count_if(
          origins.first(origin), [&](std::int64_t before) { return before + horizon <= origins[origin]; }));
      if (known > 0)
        add(total, sums_at(sums[cells(level, origin, cheapest(config, sums, cells, level, known))]));
    }
    scores.push_back({categories[level], scores_of(config, total)});
    add(all, total);
  }
  scores.push_back({"all", scores_of(config, all)});
  return scores;
}

}  // namespace shelfcast::eval
