#include "data/ingest/m5.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <unordered_map>

#include "base/error.h"
#include "base/log.h"
#include "data/ingest/table_reader.h"

namespace shelfcast::data {
namespace {

namespace fs = std::filesystem;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr std::int64_t kNeverPriced = std::numeric_limits<std::int64_t>::max();

// The text columns of the sales table, in the order of the corpus' statics.
constexpr std::array<const char*, 5> kLevelColumns = {"item_id", "dept_id", "cat_id", "store_id", "state_id"};
constexpr std::array<const char*, 5> kLevels = {"item", "dept", "cat", "store", "state"};
constexpr std::size_t kItem = 0, kStore = 3, kState = 4;

// A day of the calendar.
struct Day {
  std::int32_t date = 0;                 // days since 1970
  std::int64_t week = 0;                 // wm_yr_wk, grows with time
  std::array<std::int32_t, 4> events{};  // codes of kEventColumns, -1 = none
};
constexpr std::array<const char*, 4> kEventColumns = {"event_name_1", "event_type_1", "event_name_2",
                                                      "event_type_2"};
constexpr std::array<const char*, 4> kEvents = {"event_name", "event_type", "event_name_2", "event_type_2"};

struct Calendar {
  std::vector<Day> days;  // from the first d_ column to the end
  std::array<std::vector<std::string>, 4> events;
  std::vector<std::string> snap_names;   // "snap_CA", ...
  std::vector<std::vector<float>> snap;  // per name, [days]
};

struct Sales {
  std::vector<std::string> day_names;  // d_1495, ...
  std::array<std::vector<std::int32_t>, 5> codes;
  std::array<std::vector<std::string>, 5> levels;
  std::vector<float> units;  // [series, days]
  std::int64_t series() const { return static_cast<std::int64_t>(codes[0].size()); }
  std::int64_t days() const { return static_cast<std::int64_t>(day_names.size()); }
  std::string name(std::size_t i) const {
    return levels[kItem][static_cast<std::size_t>(codes[kItem][i])] + "_" +
           levels[kStore][static_cast<std::size_t>(codes[kStore][i])];
  }
};

// Prices of the weeks on the axis, and when each series was first priced at all.
struct Prices {
  std::int64_t first_week = 0, weeks = 0;  // positions: weeks[first_week ..)
  std::vector<float> price;                // [series, weeks], NaN = none
  std::vector<std::int64_t> released;      // wm_yr_wk per series, or kNeverPriced
};

std::optional<int> day_number(const std::string& column) {
  int number = 0;
  if (!column.starts_with("d_")) return std::nullopt;
  const auto [end, error] = std::from_chars(column.data() + 2, column.data() + column.size(), number);
  if (error != std::errc{} || end != column.data() + column.size()) return std::nullopt;
  return number;
}

// The d_ columns of a sales file, which have to be consecutive days.
std::vector<std::string> day_columns(const fs::path& file) {
  std::vector<std::string> days;
  std::optional<int> previous;
  for (const std::string& column : table_columns(file)) {
    const auto number = day_number(column);
    if (!number) continue;
    if (previous && *number != *previous + 1) {
      throw input_error(fmt::format("{}: column {} follows d_{}", file.string(), column, *previous),
                        "days are missing or out of order", "the d_ columns have to be consecutive");
    }
    previous = number;
    days.push_back(column);
  }
  if (days.empty())
    throw input_error(fmt::format("{} has no day columns", file.string()), "they are named d_1, d_2, ...");
  return days;
}

void append_batch(const TableBatch& batch, const TableReader& reader, Sales& sales) {
  const auto rows = static_cast<std::size_t>(batch.rows), days = sales.day_names.size();
  for (std::size_t level = 0; level < kLevels.size(); ++level) {
    const auto& codes = batch.columns[level].codes;
    const auto missing = std::find(codes.begin(), codes.end(), kMissingCode);
    if (missing != codes.end()) {
      throw input_error(fmt::format("{} has no {}", reader.place(batch.first_row + (missing - codes.begin())),
                                    kLevelColumns[level]));
    }
    sales.codes[level].insert(sales.codes[level].end(), codes.begin(), codes.end());
  }
  const std::size_t offset = sales.units.size();
  sales.units.resize(offset + rows * days);
  // Tiles: rows of the output and columns of the input both stay in cache.
  constexpr std::size_t kTile = 64;
  for (std::size_t tile = 0; tile < rows; tile += kTile) {
    for (std::size_t day = 0; day < days; ++day) {
      const auto& numbers = batch.columns[kLevels.size() + day].numbers;
      for (std::size_t row = tile; row < std::min(tile + kTile, rows); ++row) {
        sales.units[offset + row * days + day] = static_cast<float>(numbers[row]);
      }
    }
  }
}

Sales read_sales(const std::vector<fs::path>& files) {
  Sales sales;
  sales.day_names = day_columns(files.front());
  for (const fs::path& file : files) {
    if (day_columns(file) != sales.day_names) {
      throw input_error(fmt::format("{} and {} hold different days", files.front().string(), file.string()),
                        "", "name one of them with --from FILE");
    }
  }
  std::vector<ColumnRequest> requests;
  for (const char* level : kLevelColumns) requests.push_back({level});
  for (const std::string& day : sales.day_names) requests.push_back({day, ColumnType::number});
  TableReader reader(files, requests);
  TableBatch batch;
  while (reader.next(batch)) append_batch(batch, reader, sales);
  for (std::size_t level = 0; level < kLevels.size(); ++level) sales.levels[level] = reader.dictionary(level);
  return sales;
}

// Series by (store, item), as the price table names them.
class SeriesIndex {
 public:
  explicit SeriesIndex(const Sales& sales) : items_(sales.levels[kItem].size()) {
    series_.assign(sales.levels[kStore].size() * items_, -1);
    for (std::size_t i = 0; i < static_cast<std::size_t>(sales.series()); ++i) {
      auto& slot = series_[at(sales.codes[kStore][i], sales.codes[kItem][i])];
      if (slot >= 0) {
        throw input_error(
            fmt::format("{} stands in rows {} and {} of the sales", sales.name(i), slot + 1, i + 1),
            "duplicate series",
            "remove one; where several sales files hold the same series, name one with --from FILE");
      }
      slot = static_cast<std::int32_t>(i);
    }
    index_names(sales.levels[kStore], stores_by_name_);
    index_names(sales.levels[kItem], items_by_name_);
  }
  // The sales' code of a name, -1 for one the sales do not hold.
  std::int32_t store(const std::string& name) const { return find(stores_by_name_, name); }
  std::int32_t item(const std::string& name) const { return find(items_by_name_, name); }
  std::int32_t series(std::int32_t store, std::int32_t item) const {
    return store < 0 || item < 0 ? -1 : series_[at(store, item)];
  }

 private:
  using Names = std::unordered_map<std::string, std::int32_t>;
  static void index_names(const std::vector<std::string>& names, Names& index) {
    for (std::size_t i = 0; i < names.size(); ++i) index.emplace(names[i], static_cast<std::int32_t>(i));
  }
  static std::int32_t find(const Names& index, const std::string& name) {
    const auto found = index.find(name);
    return found == index.end() ? -1 : found->second;
  }
  std::size_t at(std::int32_t store, std::int32_t item) const {
    return static_cast<std::size_t>(store) * items_ + static_cast<std::size_t>(item);
  }
  std::size_t items_;
  std::vector<std::int32_t> series_;
  Names stores_by_name_, items_by_name_;
};

// The calendar table as its columns, in row order.
struct CalendarTable {
  std::vector<Day> days;
  std::vector<std::string> names;  // d
  Calendar rest;
};

std::vector<ColumnRequest> calendar_requests(const std::vector<std::string>& columns, Calendar& calendar) {
  std::vector<ColumnRequest> requests = {{"d"}, {"date", ColumnType::date}, {"wm_yr_wk", ColumnType::number}};
  for (const char* event : kEventColumns) requests.push_back({event});
  for (const std::string& column : columns) {
    if (!column.starts_with("snap_")) continue;
    calendar.snap_names.push_back(column);
    requests.push_back({column, ColumnType::number});
  }
  calendar.snap.resize(calendar.snap_names.size());
  return requests;
}

CalendarTable read_calendar_table(const fs::path& file) {
  CalendarTable table;
  TableReader reader({file}, calendar_requests(table_columns(file), table.rest));
  TableBatch batch;
  while (reader.next(batch)) {
    for (std::size_t row = 0; row < static_cast<std::size_t>(batch.rows); ++row) {
      const std::int32_t name = batch.columns[0].codes[row], date = batch.columns[1].days[row];
      const double week = batch.columns[2].numbers[row];
      if (name < 0 || date == kMissingDay || std::isnan(week)) {
        throw input_error(fmt::format("{} lacks d, date or wm_yr_wk",
                                      reader.place(batch.first_row + static_cast<std::int64_t>(row))));
      }
      Day day{date, static_cast<std::int64_t>(week), {}};
      for (std::size_t event = 0; event < kEvents.size(); ++event)
        day.events[event] = batch.columns[3 + event].codes[row];
      table.days.push_back(day);
      table.names.push_back(reader.dictionary(0)[static_cast<std::size_t>(name)]);
      for (std::size_t s = 0; s < table.rest.snap.size(); ++s) {
        table.rest.snap[s].push_back(static_cast<float>(batch.columns[3 + kEvents.size() + s].numbers[row]));
      }
    }
  }
  for (std::size_t event = 0; event < kEvents.size(); ++event)
    table.rest.events[event] = reader.dictionary(3 + event);
  return table;
}

// The calendar from the first sale to its end; every row has to be the day after the one before.
Calendar read_calendar(const fs::path& file, const std::vector<std::string>& day_names) {
  CalendarTable table = read_calendar_table(file);
  const auto first =
      std::find(table.names.begin(), table.names.end(), day_names.front()) - table.names.begin();
  const auto left = static_cast<std::ptrdiff_t>(table.names.size()) - first;
  if (left < static_cast<std::ptrdiff_t>(day_names.size())) {
    throw input_error(fmt::format("{} does not cover the sales", file.string()),
                      fmt::format("it lacks some of {} to {}", day_names.front(), day_names.back()));
  }
  for (std::ptrdiff_t i = 0; i < left; ++i) {
    const auto row = static_cast<std::size_t>(first + i);
    const bool next_day = i == 0 || table.days[row].date == table.days[row - 1].date + 1;
    const bool same_name = i >= static_cast<std::ptrdiff_t>(day_names.size()) ||
                           table.names[row] == day_names[static_cast<std::size_t>(i)];
    if (!next_day || !same_name) {
      throw input_error(fmt::format("row {} of {} is out of order", row + 1, file.string()),
                        "days have to follow each other");
    }
  }
  Calendar calendar = std::move(table.rest);
  calendar.days.assign(table.days.begin() + first, table.days.end());
  for (auto& snap : calendar.snap) snap.erase(snap.begin(), snap.begin() + first);
  return calendar;
}

// A position on the axis for each week that some day of the calendar is in.
std::unordered_map<std::int64_t, std::int64_t> week_positions(const Calendar& calendar) {
  std::unordered_map<std::int64_t, std::int64_t> positions;
  for (const Day& day : calendar.days)
    positions.emplace(day.week, static_cast<std::int64_t>(positions.size()));
  return positions;
}

Prices read_prices(const fs::path& file, const Calendar& calendar, const SeriesIndex& index,
                   std::int64_t series) {
  const auto positions = week_positions(calendar);
  Prices prices;
  prices.weeks = static_cast<std::int64_t>(positions.size());
  prices.price.assign(static_cast<std::size_t>(series * prices.weeks), kNan);
  prices.released.assign(static_cast<std::size_t>(series), kNeverPriced);
  TableReader reader(
      {file},
      {{"store_id"}, {"item_id"}, {"wm_yr_wk", ColumnType::number}, {"sell_price", ColumnType::number}});
  std::vector<std::int32_t> stores, items;  // from the price table's codes to the sales'
  TableBatch batch;
  while (reader.next(batch)) {
    while (stores.size() < reader.dictionary(0).size())
      stores.push_back(index.store(reader.dictionary(0)[stores.size()]));
    while (items.size() < reader.dictionary(1).size())
      items.push_back(index.item(reader.dictionary(1)[items.size()]));
    for (std::size_t row = 0; row < static_cast<std::size_t>(batch.rows); ++row) {
      const std::int32_t store = batch.columns[0].codes[row], item = batch.columns[1].codes[row];
      const double week = batch.columns[2].numbers[row], price = batch.columns[3].numbers[row];
      if (store < 0 || item < 0 || std::isnan(week)) {
        throw input_error(fmt::format("{} lacks store_id, item_id or wm_yr_wk",
                                      reader.place(batch.first_row + static_cast<std::int64_t>(row))));
      }
      const std::int32_t of =
          index.series(stores[static_cast<std::size_t>(store)], items[static_cast<std::size_t>(item)]);
      if (of < 0 || std::isnan(price)) continue;
      auto& released = prices.released[static_cast<std::size_t>(of)];
      released = std::min(released, static_cast<std::int64_t>(week));
      const auto position = positions.find(static_cast<std::int64_t>(week));
      if (position == positions.end()) continue;
      prices.price[static_cast<std::size_t>(of * prices.weeks + position->second)] =
          static_cast<float>(price);
    }
  }
  return prices;
}

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
  const SeriesIndex index(rows->sales);
  const Calendar calendar = read_calendar(files.calendar, rows->sales.day_names);
  rows->prices = read_prices(files.prices, calendar, index, rows->sales.series());
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
