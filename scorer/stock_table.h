// The stock table: what is on the shelf and on the way, and how each series is ordered.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "scorer/bundle.h"
#include "scorer/orders/policies.h"

namespace shelfcast::scorer {

// What holds for rows that do not say it themselves.
struct StockDefaults {
  Policy policy = Policy::base_stock;
  double service_level = 0.95;
  int lead_time = 7, review_period = 7;    // steps of the bundle
  double moq = 0.0, pack_size = 1.0;       // units
  Frequency frequency = Frequency::daily;  // of the bundle's steps
};

struct StockRow {
  std::int64_t series = 0;  // row of the bundle
  StockPosition position;   // the protection interval is within the horizon
  PolicyConfig policy;
};

struct StockTable {
  std::vector<StockRow> rows;
  std::vector<std::string> ignored_columns;
};

// Reads a table with the columns `series` (or `store` and `item`) and `on_hand`, and optionally `on_order`,
// `lead_time`, `review_period`, `service_level`, `unit_cost`, `price`, `holding_cost`, `shortage_cost`,
// `moq`, `pack_size`; empty cells take the default. With costs a missing unit costs `shortage_cost`, else
// price - unit_cost; one left over at the end of a review period `holding_cost`, else unit_cost. Throws
// Error(input) naming file, line and remedy, also for a service level or costs that ask for more than
// highest_level(kOrderPaths).
StockTable read_stock_table(const std::filesystem::path& path, const SeriesNames& names, std::int64_t horizon,
                            const StockDefaults& defaults);

// A table with one row a series to fill in, with prices and costs for the newsvendor and else with service
// levels. Atomic. Throws Error(input) for defaults whose interval is not within the horizon: no order could
// be made with them.
void write_stock_template(const std::filesystem::path& path, const SeriesNames& names, std::int64_t horizon,
                          const StockDefaults& defaults);

}  // namespace shelfcast::scorer
