// One item's shelf in one store: what is on it, what is on the way, and the planner who orders.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace shelfcast::data {

// Periodic review, order up to a level: every `review_days` the planner forecasts the demand until the next
// delivery can arrive (a slow average of sales times the known profile of the days ahead) and orders whole
// packs.
struct ShelfPolicy {
  int review_days = 1;
  int lead_days = 2;
  int first_review = 0;      // phase
  double pack = 1.0;         // units
  double safety = 1.0;       // standard deviations held on top
  double spread = 1.0;       // variance of a day's demand over its mean, as the planner believes
  double start_level = 1.0;  // units/day of profile 1, the planner's first guess
};

class Shelf {
 public:
  // `profile_sums[t]`: sum of the known day factors before step t, one more than there are steps; must
  // outlive the shelf.
  Shelf(const ShelfPolicy& policy, std::span<const double> profile_sums, std::int64_t first_step);

  struct Day {
    double sold = 0.0, stock = 0.0;
    bool cut = false;  // demand met an empty shelf
  };
  // Morning of `step`: deliveries arrive. Returns what is on the shelf.
  double open(std::int64_t step);
  // The day's demand is served; in the evening the planner may order. `late_days` delays that order.
  Day close(std::int64_t step, double demand, int late_days);

 private:
  double order_level(std::int64_t step) const;
  double profile(std::int64_t from, std::int64_t to) const;

  ShelfPolicy policy_;
  std::span<const double> sums_;
  std::vector<double> arriving_;  // ring by day
  double stock_ = 0.0, on_order_ = 0.0, level_;
};

}  // namespace shelfcast::data
