#include "scorer/orders/policies.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace shelfcast::scorer {
namespace {

constexpr double kRounding = 1e-6;  // of a unit: what arithmetic alone may add is not ordered

// At most two decimals, none where there are none: "12", "0.25".
std::string units(double value) {
  std::string text = fmt::format("{:.2f}", value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

std::string one_decimal(double value) { return fmt::format("{:.1f}", value); }

// Never 100: no order can promise that.
std::string percent(double share) { return units(std::min(100.0 * share, 99.99)); }

void check_target(double target, const StockPosition& position, const DemandDistribution& demand) {
  const double highest = highest_level(demand.samples.size());
  if (target <= highest) return;
  throw input_error(
      fmt::format("{}: {} of all intervals without a shortage cannot be promised", position.row, target),
      fmt::format("{} samples of demand tell at most {}", demand.samples.size(), highest),
      "lower the service level or the cost of a unit short");
}

const char* name_of_step(Frequency frequency) {
  switch (frequency) {
    case Frequency::daily:
      return "day";
    case Frequency::weekly:
      return "week";
    case Frequency::monthly:
      return "month";
  }
  return "step";
}

std::string interval(const StockPosition& position) {
  const int steps = position.protection_steps();
  return fmt::format("{} {}{} (lead {} + review {})", steps, name_of_step(position.frequency),
                     steps == 1 ? "" : "s", position.lead_time, position.review_period);
}

// Why the level is where it is.
std::string level_reason(const PolicyConfig& config, const StockPosition& position, const Order& order) {
  const std::string goal =
      config.service_level
          ? fmt::format("{} % service", percent(config.target()))
          : fmt::format("costs of {} short and {} over (covering {} %)", units(config.costs->underage),
                        units(config.costs->overage), percent(config.target()));
  return fmt::format("{} expected over {}; {} needs {}", one_decimal(order.forecast), interval(position),
                     goal, units(order.level));
}

// Why the order is what it is.
std::string order_reason(const StockPosition& position, const Order& order) {
  const double there = order.on_hand + order.on_order;
  const double missing = order.level - there;
  const std::string stock =
      fmt::format("{} on hand and {} on order", units(order.on_hand), units(order.on_order));
  if (order.order == 0.0) return fmt::format("{} are enough", stock);
  std::string text = fmt::format("{} leave {} missing", stock, units(missing));
  if (order.order <= missing + kRounding) return text;
  if (position.minimum_order > missing)
    text += fmt::format(", minimum order {}", quantity(position.minimum_order));
  if (order.order > std::max(missing, position.minimum_order) + kRounding)
    text += fmt::format(", packs of {}", quantity(position.pack));
  return text + fmt::format(": order {}", quantity(order.order));
}

}  // namespace

double critical_ratio(UnitCosts costs) {
  if (!(costs.underage > 0.0) || !(costs.overage > 0.0) || !std::isfinite(costs.underage + costs.overage))
    throw input_error(fmt::format("costs of {} for a unit short and {} for a unit over decide nothing",
                                  costs.underage, costs.overage),
                      "both must be positive numbers", "give both in the same currency");
  return costs.underage / (costs.underage + costs.overage);
}

const char* to_string(Policy policy) { return policy == Policy::newsvendor ? "newsvendor" : "base-stock"; }

Policy parse_policy(const std::string& text) {
  if (text == "newsvendor") return Policy::newsvendor;
  if (text == "base-stock") return Policy::base_stock;
  throw input_error(fmt::format("there is no policy \"{}\"", text), "", "choose newsvendor or base-stock");
}

void PolicyConfig::validate() const {
  if (service_level && costs)
    throw input_error("both a service level and costs are given", "costs decide a service level themselves",
                      "leave one out");
  if (policy == Policy::newsvendor && !costs)
    throw input_error("the newsvendor policy has no costs", "it weighs a unit short against a unit over",
                      "give both costs or use base-stock with a service level");
  if (!service_level && !costs)
    throw input_error("the base-stock policy has no goal", "",
                      "give a service level, such as 0.95, or both costs");
  if (service_level && !(*service_level > 0.0 && *service_level < 1.0))
    throw input_error(fmt::format("a service level of {} is not possible", *service_level),
                      "it must be inside (0, 1)", "write 95 % as 0.95");
  if (costs) critical_ratio(*costs);
}

double PolicyConfig::target() const { return costs ? critical_ratio(*costs) : *service_level; }

void StockPosition::validate() const {
  const auto check = [&](const char* column, double value, double least) {
    if (std::isfinite(value) && value >= least) return;
    const char* what = value < 0.0 ? "is negative" : "is not possible";
    throw input_error(fmt::format("{}: {} {} {}", row, column, value, what),
                      fmt::format("it must be at least {}", least), "correct the stock table");
  };
  check("on_hand", on_hand, 0.0);
  check("on_order", on_order, 0.0);
  check("lead_time", lead_time, 0.0);
  check("review_period", review_period, 1.0);
  check("moq", minimum_order, 0.0);
  if (!(pack > 0.0) || !std::isfinite(pack))
    throw input_error(fmt::format("{}: a pack of {} is not possible", row, pack), "it must be positive",
                      "correct the stock table; 1 means single units");
}

std::string quantity(double value) { return fmt::format("{:.10g}", value); }

double order_quantity(double missing, double minimum_order, double pack) {
  if (missing <= kRounding) return 0.0;
  const double least = std::max(missing, minimum_order);
  return std::ceil((least - kRounding) / pack) * pack;
}

Order decide(const PolicyConfig& config, const StockPosition& position, const DemandDistribution& demand,
             DemandKind kind) {
  config.validate();
  position.validate();
  check_target(config.target(), position, demand);
  Order order;
  order.forecast = demand.mean;
  order.on_hand = position.on_hand;
  order.on_order = position.on_order;
  order.level = demand.quantile(config.target());
  if (kind == DemandKind::counts) order.level = std::ceil(order.level - kRounding);
  order.safety_stock = order.level - order.forecast;
  order.order = order_quantity(order.level - position.on_hand - position.on_order, position.minimum_order,
                               position.pack);
  order.reason = level_reason(config, position, order) + "; " + order_reason(position, order);
  return order;
}

}  // namespace shelfcast::scorer
