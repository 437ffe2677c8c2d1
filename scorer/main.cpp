// shelfcast-score: what to order, and why, from a bundle and a stock table.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "scorer/bundle.h"
#include "scorer/new_items.h"
#include "scorer/order_list.h"
#include "scorer/stock_table.h"

namespace {

using namespace shelfcast;
using namespace shelfcast::scorer;

struct Options {
  std::string bundle, stock, new_items, out, forecast, stock_template, policy = "base-stock";
  StockDefaults defaults;
  int threads = static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1U, 64U));
};

void add_options(CLI::App& app, Options& options) {
  app.add_option("bundle", options.bundle, "folder made by shelfcast export")->required();
  app.add_option("--stock", options.stock,
                 "stock table: columns series (or store and item), on_hand; optional on_order, lead_time,\n"
                 "review_period, service_level, price, unit_cost, shortage_cost, holding_cost (of a unit "
                 "left over, for\n"
                 "one review period), moq, pack_size; docs/bundle-format.md has their units");
  app.add_option(
      "--new", options.new_items,
      "series that the bundle does not know: columns series (or store and item); optional text, like\n"
      "(a series of the bundle with the same prices and promotions), the model's facts by name");
  app.add_option("--out", options.out, "orders as CSV");
  app.add_option("--forecast", options.forecast, "also write the forecasts of the table's series as CSV");
  app.add_option("--template", options.stock_template,
                 "write a stock table to fill in, with the series of --new, and stop");
  app.add_option("--policy", options.policy, "base-stock or newsvendor")->capture_default_str();
  app.add_option("--service-level", options.defaults.service_level,
                 "probability of no stock-out until the next delivery, at most 0.9995, where the table says\n"
                 "nothing")
      ->capture_default_str();
  app.add_option("--lead-time", options.defaults.lead_time,
                 "steps from order to delivery, where the table says nothing")
      ->capture_default_str();
  app.add_option("--review", options.defaults.review_period,
                 "steps between orders, where the table says nothing")
      ->capture_default_str();
  app.add_option("--moq", options.defaults.moq, "smallest order, where the table says nothing")
      ->capture_default_str();
  app.add_option("--pack-size", options.defaults.pack_size,
                 "orders are multiples of it, where the table says nothing; 0.1 for tenths of a kg")
      ->capture_default_str();
  app.add_option("--threads", options.threads, "threads")->capture_default_str();
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// One would overwrite the other: forecasts the orders, orders the stock that somebody counted.
void require_own_files(const Options& options) {
  namespace fs = std::filesystem;
  std::map<fs::path, const char*> seen;
  const auto look = [&](const char* option, const std::string& file, bool written) {
    if (file.empty()) return;
    const auto [other, fresh] = seen.emplace(fs::weakly_canonical(fs::absolute(file)), option);
    if (!fresh && written)
      throw input_error(fmt::format("{} and {} are both {}", other->second, option, file),
                        "one would overwrite the other", "give each a file of its own");
  };
  look("--stock", options.stock, false);
  look("--new", options.new_items, false);
  look("--out", options.out, true);
  look("--forecast", options.forecast, true);
  look("--template", options.stock_template, true);
}

// What the export warned of concerns whoever orders, too.
void warn_of_gaps(const BundleInfo& info) {
  for (const FutureGap& gap : info.future_gaps)
    log::warn(
        "the bundle has no {} in {} of the {} cells to forecast - forecasts and orders take them as missing; "
        "bring the corpus up to date and export again for better ones",
        gap.column, gap.missing, gap.cells);
  if (info.unobserved_series > 0)
    log::warn(
        "of {} of the bundle's {} series nothing was observed in the {} steps before the forecast - they are "
        "forecast as series without a history; the reasons in the orders say which",
        info.unobserved_series, info.series, info.context);
}

void print_summary(const Options& options, const SeriesNames& names, const NewItems& items,
                   const StockTable& table, const std::vector<Order>& orders, double seconds) {
  const auto placed = std::ranges::count_if(orders, [](const Order& order) { return order.order > 0.0; });
  double units = 0.0;
  for (const Order& order : orders) units += order.order;
  fmt::print("{} of {} series need an order, {} units in all\n", placed, orders.size(), quantity(units));
  if (const auto left = std::ssize(names.series) - std::ssize(orders); left > 0)
    fmt::print("{} of the {} series are not in {}\n", left, names.series.size(), options.stock);
  if (items.inputs().series > 0)
    fmt::print(
        "{} new series, {} of them with facts the model has not seen{}\n", items.inputs().series,
        items.unknown_facts(),
        items.without_text() > 0 ? fmt::format(", {} without a text it reads", items.without_text()) : "");
  if (!table.ignored_columns.empty()) {
    std::string list;
    for (const std::string& name : table.ignored_columns) list += (list.empty() ? "" : ", ") + name;
    fmt::print("columns not used: {}\n", list);
  }
  fmt::print("orders: {}\n", options.out);
  if (!options.forecast.empty()) fmt::print("forecasts: {}\n", options.forecast);
  fmt::print("{:.0f} series/s on {} thread{}, {}\n", static_cast<double>(orders.size()) / seconds,
             options.threads, options.threads == 1 ? "" : "s", to_string(best_isa()));
}

void score(Options& options) {
  if (options.threads < 1 || options.threads > 1024)
    throw input_error(fmt::format("--threads is {}", options.threads), {}, "give a number from 1 to 1024");
  if (options.stock_template.empty() && (options.stock.empty() || options.out.empty()))
    throw input_error(
        options.stock.empty() ? "--stock is missing" : "--out is missing", {},
        "say: shelfcast-score BUNDLE --stock stock.csv --out orders.csv, or --template stock.csv");
  require_own_files(options);
  options.defaults.policy = parse_policy(options.policy);
  const Bundle bundle(options.bundle);
  options.defaults.frequency = bundle.info().axis.frequency;
  const NewItems items =
      options.new_items.empty() ? NewItems() : NewItems(options.new_items, bundle, options.threads);
  const SeriesNames names = all_names(bundle, items);
  if (!options.stock_template.empty()) {
    write_stock_template(options.stock_template, names, bundle.info().horizon, options.defaults);
    fmt::print("a stock table of {} series to fill in: {}\n", names.series.size(), options.stock_template);
    return;
  }
  const StockTable table = read_stock_table(options.stock, names, bundle.info().horizon, options.defaults);
  std::vector<std::int64_t> which;
  for (const StockRow& row : table.rows) which.push_back(row.series);
  const auto start = std::chrono::steady_clock::now();
  Progress progress("forecast", std::ssize(which), "series");
  const Forecasts forecasts =
      forecast(bundle, items, which, options.threads, [&](std::int64_t done) { progress.update(done); });
  progress.finish();
  const std::vector<Order> orders = make_orders(bundle, table, forecasts, options.threads);
  const double seconds = seconds_since(start);
  if (!options.forecast.empty()) write_forecasts(options.forecast, bundle, names, which, forecasts);
  write_orders(options.out, names, table, orders);
  print_summary(options, names, items, table, orders, seconds);
  warn_of_gaps(bundle.info());
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Forecasts demand from a bundle and writes what to order, and why.", "shelfcast-score");
  app.set_version_flag("--version", SHELFCAST_VERSION);
  add_options(app, options);
  CLI11_PARSE(app, argc, argv);
  try {
    score(options);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "shelfcast-score: {}\n", error.what());
    return 1;
  }
}
