#include "data/ingest/m5.h"

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/log.h"
#include "data/ingest/m5_tables.h"
#include "data/ingest/table_reader.h"

namespace shelfcast::data {
namespace {

namespace fs = std::filesystem;
using namespace m5;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// What fill needs of the tables.
struct M5Rows {
  Sales sales;
  Prices prices;
  std::vector<std::int64_t> week_of, position_of;  // per step: wm_yr_wk, and its column in prices.price

  // Whether the item was on the shelf: a sale proves it, whatever the price table says.
  bool observed(std::int64_t series, std::int64_t step, float units) const {
    return units != 0 ||
           prices.released[static_cast<std::size_t>(series)] <= week_of[static_cast<std::size_t>(step)];
  }

  void fill(const CorpusInfo& info, std::int64_t first, std::int64_t series, PanelRows& rows) const {
    clear_rows(info, series, rows);
    for (std::int64_t i = 0; i < series; ++i) {
      const float* units = sales.units.data() + (first + i) * sales.days();
      float* demand = rows.demand.data() + i * info.steps;
      for (std::int64_t step = 0; step < sales.days(); ++step) {
        if (observed(first + i, step, units[step])) demand[step] = units[step];
      }
      const float* weekly = prices.price.data() + (first + i) * prices.weeks;
      float* price = rows.covariates[0].data() + i * info.steps;
      for (std::int64_t step = 0; step < info.steps; ++step)
        price[step] = weekly[position_of[static_cast<std::size_t>(step)]];
    }
  }

  // Series without any price keep all their days; sales before the first price are kept, too. Both are told.
  void report_oddities() {
    std::int64_t unpriced = 0, early = 0;
    for (std::int64_t i = 0; i < sales.series(); ++i) {
      auto& released = prices.released[static_cast<std::size_t>(i)];
      if (released == kNeverPriced) {
        ++unpriced;
        released = 0;
        continue;
      }
      for (std::int64_t step = 0; step < sales.days() && week_of[static_cast<std::size_t>(step)] < released;
           ++step) {
        if (sales.units[static_cast<std::size_t>(i * sales.days() + step)] > 0) ++early;
      }
    }
    if (unpriced > 0)
      log::warn("{} of {} series have no price at all; their days are all taken as observed", unpriced,
                sales.series());
    if (early > 0) log::warn("{} sales happened before the item's first price; they are kept", early);
  }
};

void add_covariate(Panel& panel, CovariateInfo info, Aggregate aggregate, std::vector<float> shared) {
  panel.info.covariates.push_back(std::move(info));
  panel.aggregates.push_back(aggregate);
  panel.shared.push_back(std::move(shared));
}

void add_events(const Calendar& calendar, Panel& panel) {
  for (std::size_t event = 0; event < kEvents.size(); ++event) {
    if (calendar.events[event].empty()) continue;
    std::vector<float> codes;
    for (const Day& day : calendar.days) codes.push_back(static_cast<float>(day.events[event]));
    add_covariate(panel, {kEvents[event], Role::known, Kind::categorical, "all", calendar.events[event]},
                  Aggregate::first, std::move(codes));
  }
}

void add_snap(const Calendar& calendar, const std::vector<std::string>& states, Panel& panel) {
  if (calendar.snap_names.empty()) return;
  std::vector<float> rows;
  for (const std::string& state : states) {
    const auto found = std::find(calendar.snap_names.begin(), calendar.snap_names.end(), "snap_" + state);
    if (found == calendar.snap_names.end()) {
      rows.insert(rows.end(), calendar.days.size(), kNan);
    } else {
      const auto& snap = calendar.snap[static_cast<std::size_t>(found - calendar.snap_names.begin())];
      rows.insert(rows.end(), snap.begin(), snap.end());
    }
  }
  add_covariate(panel, {"snap", Role::known, Kind::numeric, "state", {}}, Aggregate::mean, std::move(rows));
}

void describe(const Sales& sales, const Calendar& calendar, Panel& panel) {
  CorpusInfo& info = panel.info;
  info.name = "m5";
  info.axis = {Date{std::chrono::days{calendar.days.front().date}}, Frequency::daily};
  info.steps = static_cast<std::int64_t>(calendar.days.size());
  info.demand_end = sales.days();
  info.series = sales.series();
  info.item_level = "item";
  info.store_level = "store";
  info.category_level = "cat";
  info.notes =
      "Days before an item's first price in a store are not observed (it was not on sale there), not zero. "
      "Prices hold for "
      "a week. Events and prices go on after the last sale.";
  for (std::size_t level = 0; level < kLevels.size(); ++level) {
    info.statics.push_back({kLevels[level], Kind::categorical, sales.levels[level]});
  }
  add_covariate(panel, {"price", Role::known, Kind::numeric, "series", {}}, Aggregate::mean, {});
  add_events(calendar, panel);
  add_snap(calendar, sales.levels[kState], panel);
}

// The only file of that stem in `folder`, as CSV or Parquet.
fs::path table_named(const fs::path& folder, const std::string& stem) {
  for (const char* ending : {".parquet", ".csv", ".csv.gz", ".csv.zst"}) {
    if (fs::exists(folder / (stem + ending))) return folder / (stem + ending);
  }
  throw input_error(fmt::format("{} holds no {}.csv or {}.parquet", folder.string(), stem, stem),
                    "M5 needs sales, calendar and prices", "put the three into one folder");
}

}  // namespace

M5Files find_m5_files(const fs::path& path) {
  M5Files files;
  const bool folder = fs::is_directory(path);
  if (!folder) {
    files.sales = table_files(path);
  } else {
    for (const fs::path& file : table_files(path)) {
      const std::string name = file.filename().string();
      if (name.starts_with("sales_train_evaluation")) {
        files.sales = {file};
        break;
      }
      if (name.starts_with("sales_")) files.sales.push_back(file);
    }
    if (files.sales.empty())
      throw input_error(fmt::format("{} holds no sales_*.csv or sales_*.parquet", path.string()));
  }
  const fs::path beside = folder ? path : path.parent_path().empty() ? fs::path(".") : path.parent_path();
  files.calendar = table_named(beside, "calendar");
  files.prices = table_named(beside, "sell_prices");
  return files;
}

Panel read_m5(const M5Files& files) {
  auto rows = std::make_shared<M5Rows>();
  rows->sales = read_sales(files.sales);
  const Calendar calendar = read_calendar(files.calendar, rows->sales.day_names);
  rows->prices = read_prices(files.prices, calendar, rows->sales);
  const auto positions = week_positions(calendar);
  for (const Day& day : calendar.days) {
    rows->week_of.push_back(day.week);
    rows->position_of.push_back(positions.at(day.week));
  }
  rows->report_oddities();

  Panel panel;
  describe(rows->sales, calendar, panel);
  for (std::size_t i = 0; i < static_cast<std::size_t>(rows->sales.series()); ++i)
    panel.table.names.push_back(rows->sales.name(i));
  panel.table.codes.assign(rows->sales.codes.begin(), rows->sales.codes.end());
  panel.table.values.resize(kLevels.size());
  panel.fill = [rows, info = panel.info](std::int64_t first, std::int64_t series, PanelRows& out) {
    rows->fill(info, first, series, out);
  };
  return panel;
}

}  // namespace shelfcast::data