#include "scorer/order_list.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "base/csv.h"
#include "base/error.h"
#include "base/files.h"
#include "base/share.h"
#include "scorer/csv.h"
#include "scorer/orders/lead_time_demand.h"

namespace shelfcast::scorer {
namespace {

// Quantiles of one series as the order policies want them, [horizon, levels].
std::vector<float> by_step(const Forecasts& forecasts, std::size_t row) {
  const std::int64_t levels = forecasts.levels, horizon = forecasts.horizon;
  const float* from = forecasts.quantiles_bqh.data() + static_cast<std::int64_t>(row) * levels * horizon;
  std::vector<float> steps(static_cast<std::size_t>(levels * horizon));
  for (std::int64_t h = 0; h < horizon; ++h)
    for (std::int64_t q = 0; q < levels; ++q) steps[h * levels + q] = from[q * horizon + h];
  return steps;
}

// Two decimals at most: forecasts are not known to more.
std::string number(double value) {
  std::string text = fmt::format("{:.2f}", value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

}  // namespace

std::vector<Order> make_orders(const Bundle& bundle, const StockTable& table, const Forecasts& forecasts,
                               int threads) {
  SHELFCAST_ASSERT(forecasts.series == std::ssize(table.rows));
  const DemandKind kind = bundle.info().demand;
  const LeadTimeDemand demand(bundle.info().levels, bundle.copula().correlation, order_path_options(kind),
                              bundle.copula().recalibration);
  // New items have no history, as who lists them knows.
  const auto unobserved = [&](std::int64_t series) {
    if (series >= bundle.info().series) return false;
    const float* context = bundle.inputs().context.row(series);
    return std::all_of(context, context + bundle.info().context, [](float y) { return std::isnan(y); });
  };
  std::vector<Order> orders(table.rows.size());
  share(orders.size(), threads, [&](std::size_t i) {
    const StockRow& row = table.rows[i];
    orders[i] = decide(row.policy, row.position,
                       demand.over(by_step(forecasts, i), row.position.protection_steps()), kind);
    if (unobserved(row.series))
      orders[i].reason +=
          fmt::format("; nothing of it was observed in the {} steps before", bundle.info().context);
  });
  return orders;
}

void write_orders(const std::filesystem::path& path, const SeriesNames& names, const StockTable& table,
                  const std::vector<Order>& orders) {
  AtomicFile file(path);
  std::string text = "series,store,item,forecast,safety_stock,on_hand,on_order,level,order,reason\n";
  for (std::size_t i = 0; i < orders.size(); ++i) {
    const std::int64_t series = table.rows[i].series;
    const Order& order = orders[i];
    const auto name = [&](const std::vector<std::string>& list) {
      return list.empty() ? "" : csv_cell(list[series]);
    };
    fmt::format_to(std::back_inserter(text), "{},{},{},{},{},{},{},{},{},{}\n",
                   csv_cell(names.series[series]), name(names.store), name(names.item),
                   number(order.forecast), number(order.safety_stock), number(order.on_hand),
                   number(order.on_order), number(order.level), quantity(order.order),
                   csv_cell(order.reason));
    if (text.size() > 1 << 20) file.write(text), text.clear();
  }
  file.write(text);
  file.commit();
}

void write_forecasts(const std::filesystem::path& path, const Bundle& bundle, const SeriesNames& names,
                     const std::vector<std::int64_t>& which, const Forecasts& forecasts) {
  AtomicFile file(path);
  std::string text = "series,date,mean";
  for (const double level : bundle.info().levels) text += fmt::format(",q{}", level);
  text += '\n';
  const std::int64_t levels = forecasts.levels, horizon = forecasts.horizon;
  for (std::int64_t b = 0; b < forecasts.series; ++b) {
    const std::string name = csv_cell(names.series[which[b]]);
    for (std::int64_t h = 0; h < horizon; ++h) {
      fmt::format_to(std::back_inserter(text), "{},{},{:.6g}", name, format_date(bundle.info().date_of(h)),
                     forecasts.mean_bh[b * horizon + h]);
      for (std::int64_t q = 0; q < levels; ++q)
        fmt::format_to(std::back_inserter(text), ",{:.6g}",
                       forecasts.quantiles_bqh[(b * levels + q) * horizon + h]);
      text += '\n';
    }
    if (text.size() > 1 << 20) file.write(text), text.clear();
  }
  file.write(text);
  file.commit();
}

}  // namespace shelfcast::scorer
