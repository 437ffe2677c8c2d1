#include "data/synth/shelf.h"

#include <algorithm>
#include <cmath>

namespace shelfcast::data {
namespace {

constexpr std::int64_t kRing = 32;        // longer than any lead time with its delay
constexpr double kForgetting = 1.0 / 30;  // weight of a new day in the planner's average

}  // namespace

Shelf::Shelf(const ShelfPolicy& policy, std::span<const double> profile_sums, std::int64_t first_step)
    : policy_(policy), sums_(profile_sums), arriving_(kRing, 0.0), level_(policy.start_level) {
  stock_ = std::ceil(order_level(first_step) / policy_.pack) * policy_.pack;
}

double Shelf::profile(std::int64_t from, std::int64_t to) const {
  const auto last = static_cast<std::int64_t>(sums_.size()) - 1;
  if (from >= last) return static_cast<double>(to - from);  // past the plan: ordinary days
  const std::int64_t known = std::min(to, last);
  return sums_[static_cast<std::size_t>(known)] - sums_[static_cast<std::size_t>(from)] +
         static_cast<double>(to - known);
}

double Shelf::order_level(std::int64_t step) const {
  const double mean = level_ * profile(step + 1, step + 1 + policy_.review_days + policy_.lead_days);
  return mean + policy_.safety * std::sqrt(mean * policy_.spread) + 0.5;
}

double Shelf::open(std::int64_t step) {
  double& arrived = arriving_[static_cast<std::size_t>(step % kRing)];
  stock_ += arrived;
  on_order_ -= arrived;
  arrived = 0.0;
  return stock_;
}

Shelf::Day Shelf::close(std::int64_t step, double demand, int late_days) {
  const double opening = stock_;
  Day day;
  day.sold = std::min(demand, opening);
  day.cut = demand > opening;
  stock_ = opening - day.sold;
  day.stock = stock_;
  const double today = profile(step, step + 1);
  if (today > 0.05 && !day.cut) level_ += kForgetting * (day.sold / today - level_);
  if (step % policy_.review_days == policy_.first_review % policy_.review_days) {
    const double missing = order_level(step) - stock_ - on_order_;
    const double quantity = missing > 0.0 ? std::ceil(missing / policy_.pack) * policy_.pack : 0.0;
    arriving_[static_cast<std::size_t>((step + policy_.lead_days + late_days) % kRing)] += quantity;
    on_order_ += quantity;
  }
  return day;
}

}  // namespace shelfcast::data
