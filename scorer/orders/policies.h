// What to order: levels from the distribution of demand over the protection interval, orders from levels and
// stock.
#pragma once

#include <optional>
#include <string>

#include "base/dates.h"
#include "scorer/orders/lead_time_demand.h"

namespace shelfcast::scorer {

// Costs of one unit in one cycle from delivery to delivery (a review period), in any one currency.
struct UnitCosts {
  double underage = 0.0;  // of a unit asked for and not there
  double overage = 0.0;   // of a unit left over when the cycle ends
};

// The share of intervals that should end without a shortage when these are the costs: Cu / (Cu + Co) (Arrow,
// Harris and Marschak, "Optimal inventory policy", 1951). Throws Error(input) unless both are positive.
double critical_ratio(UnitCosts costs);

enum class Policy {
  newsvendor,  // one order for one selling period; what is left is worth what the overage says. Needs costs
  base_stock,  // at every review order up to a level that covers lead time + review period. Needs a service
               // level or costs
};
// "newsvendor", "base-stock"; parse throws Error(input) naming the text and the choices.
const char* to_string(Policy policy);
Policy parse_policy(const std::string& text);

struct PolicyConfig {
  Policy policy = Policy::base_stock;
  std::optional<double> service_level;  // probability of no shortage in an interval, inside (0, 1)
  std::optional<UnitCosts> costs;

  // Throws Error(input): exactly one of the two, and costs for the newsvendor.
  void validate() const;
  // The probability the level has to cover.
  double target() const;
};

// One row of the stock table.
struct StockPosition {
  std::string row;  // names it in errors: "row 3 (north-01/dairy-0001)"
  double on_hand = 0.0, on_order = 0.0;
  int lead_time = 0, review_period = 1;    // steps
  Frequency frequency = Frequency::daily;  // what a step is
  double minimum_order = 0.0;              // MOQ: an order is at least this, or nothing
  double pack = 1.0;                       // and a multiple of this

  // Throws Error(input) naming row and column.
  void validate() const;
  // Steps that an order placed now has to cover: until the next one can arrive.
  int protection_steps() const { return lead_time + review_period; }
};

struct Order {
  double forecast = 0.0;      // mean demand over the interval
  double safety_stock = 0.0;  // level - forecast; negative when shortages are cheap
  double on_hand = 0.0, on_order = 0.0;
  double level = 0.0;  // order up to
  double order = 0.0;
  std::string reason;  // one sentence for people
};

// What is ordered, as text with all its decimals: half of an order of 0.125 is none.
std::string quantity(double value);

// The least whole quantity that covers `missing`, is at least the minimum order and a multiple of the pack; 0
// when nothing is missing.
double order_quantity(double missing, double minimum_order, double pack);

// `demand` is that of position.protection_steps(). The level of counts is rounded up to a whole unit, that of
// continuous demand (kg, litres) is not; orders are multiples of the pack either way. Validates config and
// position. Throws Error(input), also for a target above highest_level() of the demand's samples.
Order decide(const PolicyConfig& config, const StockPosition& position, const DemandDistribution& demand,
             DemandKind kind);

}  // namespace shelfcast::scorer
