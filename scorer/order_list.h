// From forecasts and stock to orders.csv.
#pragma once

#include <filesystem>
#include <vector>

#include "scorer/bundle.h"
#include "scorer/orders/policies.h"
#include "scorer/stock_table.h"

namespace shelfcast::scorer {

// One order per row of `table`; row i of `forecasts` is that of table row i. The reason also says of a series
// of the bundle that nothing was observed in its context. On `threads` threads; the orders
// do not depend on how many.
std::vector<Order> make_orders(const Bundle& bundle, const StockTable& table, const Forecasts& forecasts,
                               int threads);

// series, store, item, forecast, safety_stock, on_hand, on_order, level, order, reason. Atomic.
void write_orders(const std::filesystem::path& path, const SeriesNames& names, const StockTable& table,
                  const std::vector<Order>& orders);

// series, date, mean and one column a quantile level; one row a series and step. Row i of `forecasts` is
// series `which[i]` of `names`. Atomic.
void write_forecasts(const std::filesystem::path& path, const Bundle& bundle, const SeriesNames& names,
                     const std::vector<std::int64_t>& which, const Forecasts& forecasts);

}  // namespace shelfcast::scorer
