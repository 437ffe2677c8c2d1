#include "data/ingest/m5_tables.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "data/ingest/table_reader.h"

namespace shelfcast::data::m5 {
namespace {

namespace fs = std::filesystem;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

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

// Puts the price table's rows into place.
class PriceCollector {
 public:
  PriceCollector(const Calendar& calendar, const Sales& sales)
      : index_(sales), positions_(week_positions(calendar)) {
    prices_.weeks = static_cast<std::int64_t>(positions_.size());
    prices_.price.assign(static_cast<std::size_t>(sales.series() * prices_.weeks), kNan);
    prices_.released.assign(static_cast<std::size_t>(sales.series()), kNeverPriced);
  }

  void put(const TableBatch& batch, const TableReader& reader) {
    while (stores_.size() < reader.dictionary(0).size())
      stores_.push_back(index_.store(reader.dictionary(0)[stores_.size()]));
    while (items_.size() < reader.dictionary(1).size())
      items_.push_back(index_.item(reader.dictionary(1)[items_.size()]));
    for (std::size_t row = 0; row < static_cast<std::size_t>(batch.rows); ++row) {
      const std::int32_t store = batch.columns[0].codes[row], item = batch.columns[1].codes[row];
      const double week = batch.columns[2].numbers[row], price = batch.columns[3].numbers[row];
      if (store < 0 || item < 0 || std::isnan(week)) {
        throw input_error(fmt::format("{} lacks store_id, item_id or wm_yr_wk",
                                      reader.place(batch.first_row + static_cast<std::int64_t>(row))));
      }
      const std::int32_t series =
          index_.series(stores_[static_cast<std::size_t>(store)], items_[static_cast<std::size_t>(item)]);
      if (series >= 0 && !std::isnan(price))
        put(series, static_cast<std::int64_t>(week), static_cast<float>(price));
    }
  }

  Prices take() { return std::move(prices_); }

 private:
  void put(std::int64_t series, std::int64_t week, float price) {
    auto& released = prices_.released[static_cast<std::size_t>(series)];
    released = std::min(released, week);
    const auto position = positions_.find(week);
    if (position == positions_.end()) return;
    prices_.price[static_cast<std::size_t>(series * prices_.weeks + position->second)] = price;
  }

  SeriesIndex index_;
  std::unordered_map<std::int64_t, std::int64_t> positions_;
  std::vector<std::int32_t> stores_, items_;  // from the price table's codes to the sales', -1 = not there
  Prices prices_;
};

}  // namespace

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
  requests.reserve(requests.size() + sales.day_names.size());
  for (const std::string& day : sales.day_names) requests.push_back({day, ColumnType::number});
  TableReader reader(files, requests);
  TableBatch batch;
  while (reader.next(batch)) append_batch(batch, reader, sales);
  for (std::size_t level = 0; level < kLevels.size(); ++level) sales.levels[level] = reader.dictionary(level);
  return sales;
}

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

std::unordered_map<std::int64_t, std::int64_t> week_positions(const Calendar& calendar) {
  std::unordered_map<std::int64_t, std::int64_t> positions;
  for (const Day& day : calendar.days)
    positions.emplace(day.week, static_cast<std::int64_t>(positions.size()));
  return positions;
}

Prices read_prices(const fs::path& file, const Calendar& calendar, const Sales& sales) {
  PriceCollector prices(calendar, sales);
  TableReader reader(
      {file},
      {{"store_id"}, {"item_id"}, {"wm_yr_wk", ColumnType::number}, {"sell_price", ColumnType::number}});
  TableBatch batch;
  while (reader.next(batch)) prices.put(batch, reader);
  return prices.take();
}

}  // namespace shelfcast::data::m5
