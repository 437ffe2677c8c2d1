// What a base-stock policy fed by forecasts would have cost on the judged windows.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "eval/config.h"
#include "eval/keyed_sums.h"
#include "eval/metrics.h"

namespace shelfcast::eval {

// Safety stocks that are tried, in standard deviations of demand over the protection interval.
std::span<const double> safety_factors();

// Units, summed over the steps whose demand was observed.
struct OrderSums {
  double demand = 0.0, lost = 0.0;
  double held = 0.0;  // at the end of each step
  double steps = 0.0;
};

// One window: at every review (each orders.review steps from the origin on) so much is ordered that stock and
// orders reach the mean forecast of the protection interval (orders.lead + orders.review steps) plus a safety
// stock; orders arrive after orders.lead steps; the shelf begins at its first level; demand that is not met
// is lost. `mean` and `target` [horizon]; NaN targets are steps without demand that count for nothing. Steps
// after the last whole protection interval are left out. One result for each of `safety`, in units.
std::vector<OrderSums> simulate_orders(const OrderConfig& config, std::span<const float> mean,
                                       std::span<const float> target, std::span<const double> safety);

// Standard deviation of demand over the protection interval from the mean squared seasonal change of a step,
// which holds two steps' noise; 0 without one. The same for every forecaster.
double interval_deviation(const OrderConfig& config, double squared_scale);

// How the sums of a forecaster lie in KeyedSums: by category, origin and safety factor.
struct OrderCells {
  static constexpr std::size_t kWidth = 4;
  std::size_t levels = 0, origins = 0;
  std::size_t cells() const { return levels * origins * safety_factors().size(); }
  std::size_t operator()(std::size_t level, std::size_t origin, std::size_t factor) const {
    return (level * origins + origin) * safety_factors().size() + factor;
  }
};

// For each category and then for all: "order_cost", "fill_rate" and "stock_cover", every category with the
// safety factor that was cheapest on the windows that had ended by the origin, and of the origins with such
// windows (of `origins`, whose windows are `horizon` steps long). Cost is in units held
// for one step, by unit of demand (as is the stock cover, steps of demand in stock); a lost unit costs what
// makes orders.service the right probability of no shortage: review x service / (1 - service). n counts
// steps.
struct OrderScores {
  std::string level;
  std::vector<Score> scores;
};
std::vector<OrderScores> order_scores(const OrderConfig& config, const KeyedSums& sums,
                                      std::span<const std::int64_t> origins, std::int64_t horizon,
                                      const std::vector<std::string>& categories);

}  // namespace shelfcast::eval
