#include "data/ingest/rossmann.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "data/ingest/table_reader.h"

namespace shelfcast::data {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr Date kGapFirst = 2014y / 7 / 1, kGapLast = 2014y / 12 / 31;

// Columns of the table, in the order they are asked for.
enum Column : std::size_t {
  kStore,
  kDate,
  kSales,
  kCustomers,
  kOpen,
  kPromo,
  kSchoolHoliday,
  kStateHoliday,
  kFirstStatic
};
// The store's facts: column and name in the corpus, after the store itself.
constexpr std::array<std::array<const char*, 2>, 4> kStoreFacts = {{{"StoreType", "store_type"},
                                                                    {"Assortment", "assortment"},
                                                                    {"Promo2", "promo2"},
                                                                    {"PromoInterval", "promo_interval"}}};

constexpr std::size_t kCovariates = 5;  // of the corpus, all per series

// One row of the table.
struct Row {
  std::int32_t store = 0, day = 0;
  float sales = 0, customers = 0, open = 0, promo = 0, school_holiday = 0;
  std::int32_t state_holiday = kMissingCode;
};

struct Table {
  std::vector<Row> rows;
  std::vector<std::string> stores;          // in order of their first rows
  std::vector<std::int32_t> number_of;      // per code of the reader: the store's number, or kMissingCode
  std::vector<std::string> state_holidays;  // without "0", which means none
  std::vector<StaticInfo> facts;
  std::vector<std::vector<std::int32_t>> fact_codes;  // per fact: [stores]
  std::int32_t first_day = std::numeric_limits<std::int32_t>::max(),
               last_day = std::numeric_limits<std::int32_t>::min();
  std::vector<bool> closed_in_gap;  // [stores]: had rows in the known gap before this table
};

std::vector<ColumnRequest> requests(const std::vector<std::string>& columns, std::vector<StaticInfo>& facts) {
  std::vector<ColumnRequest> result = {{"Store"},
                                       {"Date", ColumnType::date},
                                       {"Sales", ColumnType::number},
                                       {"Customers", ColumnType::number},
                                       {"Open", ColumnType::number},
                                       {"Promo", ColumnType::number},
                                       {"SchoolHoliday", ColumnType::number},
                                       {"StateHoliday"}};
  for (const auto& [column, name] : kStoreFacts) {
    if (std::find(columns.begin(), columns.end(), column) == columns.end()) continue;
    result.push_back({column});
    facts.push_back({name, Kind::categorical, {}});
  }
  return result;
}

std::int32_t store_number(std::int32_t code, const TableReader& reader, Table& table) {
  const auto at = static_cast<std::size_t>(code);
  if (table.number_of.size() <= at) table.number_of.resize(at + 1, kMissingCode);
  if (table.number_of[at] == kMissingCode) {
    table.number_of[at] = static_cast<std::int32_t>(table.stores.size());
    table.stores.push_back(reader.dictionary(kStore)[at]);
  }
  return table.number_of[at];
}

void append(const TableBatch& batch, const TableReader& reader, std::int32_t last_day, Table& table) {
  const auto& columns = batch.columns;
  for (std::size_t i = 0; i < static_cast<std::size_t>(batch.rows); ++i) {
    if (columns[kDate].days[i] > last_day) continue;
    Row row{columns[kStore].codes[i],
            columns[kDate].days[i],
            static_cast<float>(columns[kSales].numbers[i]),
            static_cast<float>(columns[kCustomers].numbers[i]),
            static_cast<float>(columns[kOpen].numbers[i]),
            static_cast<float>(columns[kPromo].numbers[i]),
            static_cast<float>(columns[kSchoolHoliday].numbers[i]),
            columns[kStateHoliday].codes[i]};
    if (row.store == kMissingCode || row.day == kMissingDay || std::isnan(row.sales)) {
      throw input_error(fmt::format("{} lacks Store, Date or Sales",
                                    reader.place(batch.first_row + static_cast<std::int64_t>(i))));
    }
    row.store = store_number(row.store, reader, table);
    const auto store = static_cast<std::size_t>(row.store);
    for (std::size_t fact = 0; fact < table.facts.size(); ++fact) {
      auto& codes = table.fact_codes[fact];
      if (codes.size() <= store) codes.resize(store + 1, kMissingCode);
      if (codes[store] == kMissingCode) codes[store] = columns[kFirstStatic + fact].codes[i];
    }
    table.first_day = std::min(table.first_day, row.day);
    table.last_day = std::max(table.last_day, row.day);
    table.rows.push_back(row);
  }
}

// Words that no row uses go; visit(f) calls f on every code.
template <class Visit>
void keep_used(std::vector<std::string>& vocabulary, const Visit& visit) {
  std::vector<std::int32_t> renumbered(vocabulary.size(), kMissingCode);
  std::vector<std::string> used;
  visit([&](std::int32_t& code) {
    if (code == kMissingCode) return;
    auto& number = renumbered[static_cast<std::size_t>(code)];
    if (number == kMissingCode) {
      number = static_cast<std::int32_t>(used.size());
      used.push_back(vocabulary[static_cast<std::size_t>(code)]);
    }
    code = number;
  });
  vocabulary = std::move(used);
}

// "0" and "" both mean that the day is no state holiday.
void drop_no_holiday(Table& table) {
  const auto none = std::find(table.state_holidays.begin(), table.state_holidays.end(), "0");
  const auto code = static_cast<std::int32_t>(none - table.state_holidays.begin());
  keep_used(table.state_holidays, [&](const auto& action) {
    for (Row& row : table.rows) {
      if (row.state_holiday == code) row.state_holiday = kMissingCode;
      action(row.state_holiday);
    }
  });
}

Table read_table(const fs::path& file, std::optional<Date> until) {
  Table table;
  const auto columns = requests(table_columns(file), table.facts);
  table.fact_codes.resize(table.facts.size());
  TableReader reader({file}, columns);
  TableBatch batch;
  const std::int32_t last_day = until ? static_cast<std::int32_t>(until->time_since_epoch().count())
                                      : std::numeric_limits<std::int32_t>::max();
  while (reader.next(batch)) append(batch, reader, last_day, table);
  if (table.rows.empty() && until)
    throw input_error(fmt::format("nothing is left until {}", format_date(*until)),
                      "the table's rows are all of later days", "choose a later day");
  table.state_holidays = reader.dictionary(kStateHoliday);
  for (std::size_t fact = 0; fact < table.facts.size(); ++fact) {
    table.facts[fact].vocabulary = reader.dictionary(kFirstStatic + fact);
    keep_used(table.facts[fact].vocabulary, [&](const auto& action) {
      for (std::int32_t& code : table.fact_codes[fact]) action(code);
    });
  }
  drop_no_holiday(table);
  table.closed_in_gap.resize(table.stores.size());
  return table;
}

// Every store by every day, as filled from the rows.
struct Grid {
  std::int64_t days = 0;
  std::vector<float> sales, customers, open, promo, school_holiday, state_holiday;  // [stores, days]
  std::vector<bool> has_row;                                                        // [stores, days]
};

// In the part of the gap that the table covers.
void mark_gaps(const Table& table, Grid& grid) {
  const std::int64_t first =
      std::max<std::int64_t>(0, kGapFirst.time_since_epoch().count() - table.first_day);
  const std::int64_t last =
      std::min<std::int64_t>(grid.days - 1, kGapLast.time_since_epoch().count() - table.first_day);
  if (first > last) return;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (std::int64_t store = 0; store < static_cast<std::int64_t>(table.stores.size()); ++store) {
    const auto begin = store * grid.days + first, end = store * grid.days + last + 1;
    if (table.closed_in_gap[static_cast<std::size_t>(store)] ||
        std::find(grid.has_row.begin() + begin, grid.has_row.begin() + end, true) !=
            grid.has_row.begin() + end)
      continue;
    for (auto* values : {&grid.sales, &grid.customers, &grid.open})
      std::fill(values->begin() + begin, values->begin() + end, nan);
  }
}

Grid make_grid(const Table& table) {
  Grid grid;
  grid.days = table.last_day - table.first_day + 1;
  const auto size = table.stores.size() * static_cast<std::size_t>(grid.days);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (auto* values : {&grid.sales, &grid.customers, &grid.open}) values->assign(size, 0.0F);
  for (auto* values : {&grid.promo, &grid.school_holiday}) values->assign(size, nan);
  grid.state_holiday.assign(size, -1.0F);
  grid.has_row.assign(size, false);
  for (const Row& row : table.rows) {
    const auto at = static_cast<std::size_t>(row.store * grid.days + (row.day - table.first_day));
    if (grid.has_row[at]) {
      throw input_error(
          fmt::format("store {} has two rows on {}", table.stores[static_cast<std::size_t>(row.store)],
                      format_date(Date{std::chrono::days{row.day}})),
          "duplicate rows", "remove one");
    }
    grid.has_row[at] = true;
    grid.sales[at] = row.sales;
    grid.customers[at] = row.customers;
    grid.open[at] = row.open;
    grid.promo[at] = row.promo;
    grid.school_holiday[at] = row.school_holiday;
    grid.state_holiday[at] = static_cast<float>(row.state_holiday);
  }
  mark_gaps(table, grid);
  return grid;
}

void describe(const Table& table, const Grid& grid, Panel& panel) {
  CorpusInfo& info = panel.info;
  info.name = "rossmann";
  info.axis = {Date{std::chrono::days{table.first_day}}, Frequency::daily};
  info.steps = info.demand_end = grid.days;
  info.series = static_cast<std::int64_t>(table.stores.size());
  info.store_level = "store";
  info.category_level = "store_type";
  info.notes =
      "Days without a row are closed days: sales 0 and open 0; their promotions and holidays are missing. "
      "Stores without any row "
      "from 2014-07-01 to 2014-12-31 are not observed there.";
  info.covariates = {{"open", Role::known, Kind::numeric, "series", {}},
                     {"promo", Role::known, Kind::numeric, "series", {}},
                     {"school_holiday", Role::known, Kind::numeric, "series", {}},
                     {"state_holiday", Role::known, Kind::categorical, "series", table.state_holidays},
                     {"customers", Role::past, Kind::numeric, "series", {}}};
  panel.aggregates = {Aggregate::mean, Aggregate::mean, Aggregate::mean, Aggregate::first, Aggregate::sum};
  panel.shared.resize(info.covariates.size());
  info.statics = {{"store", Kind::categorical, table.stores}};
  info.statics.insert(info.statics.end(), table.facts.begin(), table.facts.end());
  const bool typed = std::any_of(table.facts.begin(), table.facts.end(),
                                 [](const auto& fact) { return fact.name == "store_type"; });
  if (!typed) info.category_level.clear();
}

constexpr std::string_view kNamePrefix = "store_";

// The past's stores come first, and the grid covers its days, too: a store without rows is closed.
void go_on(const Past& past, Table& table) {
  std::vector<std::string> stores;
  std::vector<std::int32_t> number_of;  // per store of the table
  for (const std::string& name : past.names)
    stores.push_back(name.starts_with(kNamePrefix) ? name.substr(kNamePrefix.size()) : name);
  std::unordered_map<std::string, std::int32_t> places;
  for (const std::string& store : stores) places.emplace(store, static_cast<std::int32_t>(places.size()));
  for (const std::string& store : table.stores) {
    const auto [place, is_new] = places.emplace(store, static_cast<std::int32_t>(stores.size()));
    if (is_new) stores.push_back(store);
    number_of.push_back(place->second);
  }
  for (Row& row : table.rows) row.store = number_of[static_cast<std::size_t>(row.store)];
  for (auto& codes : table.fact_codes) {
    const auto before = std::exchange(codes, std::vector<std::int32_t>(stores.size(), kMissingCode));
    for (std::size_t i = 0; i < before.size(); ++i) codes[static_cast<std::size_t>(number_of[i])] = before[i];
  }
  table.stores = std::move(stores);
  table.closed_in_gap.assign(table.stores.size(), false);
  const Date last = past.demand_end - std::chrono::days{1};
  if (last >= kGapFirst && last <= kGapLast)
    std::copy(past.observed_at_end.begin(), past.observed_at_end.end(), table.closed_in_gap.begin());
  table.first_day =
      std::min(table.first_day, static_cast<std::int32_t>(past.start.time_since_epoch().count()));
  table.last_day = std::max(table.last_day, static_cast<std::int32_t>(last.time_since_epoch().count()));
}

Panel make_panel(const std::shared_ptr<Table>& table) {
  auto grid = std::make_shared<Grid>(make_grid(*table));
  Panel panel;
  describe(*table, *grid, panel);
  panel.table.codes.emplace_back();
  for (std::size_t store = 0; store < table->stores.size(); ++store) {
    panel.table.names.push_back(std::string(kNamePrefix) + table->stores[store]);
    panel.table.codes[0].push_back(static_cast<std::int32_t>(store));
  }
  panel.table.codes.insert(panel.table.codes.end(), table->fact_codes.begin(), table->fact_codes.end());
  panel.table.values.resize(panel.info.statics.size());
  panel.fill = [grid](std::int64_t first, std::int64_t series, PanelRows& rows) {
    const auto slice = [&](const std::vector<float>& values) {
      return std::vector<float>(values.begin() + first * grid->days,
                                values.begin() + (first + series) * grid->days);
    };
    rows.demand = slice(grid->sales);
    rows.covariates = {slice(grid->open), slice(grid->promo), slice(grid->school_holiday),
                       slice(grid->state_holiday), slice(grid->customers)};
  };
  panel.said = [grid](std::int64_t first, std::int64_t series, Said& said) {
    said.demand.assign(grid->has_row.begin() + first * grid->days,
                       grid->has_row.begin() + (first + series) * grid->days);
    said.covariates.assign(kCovariates, said.demand);
  };
  panel.go_on = [table](const Past& past) {
    go_on(past, *table);
    return make_panel(table);
  };
  return panel;
}

}  // namespace

fs::path find_rossmann_file(const fs::path& path) {
  if (!fs::is_directory(path)) return table_files(path).front();
  for (const fs::path& file : table_files(path)) {
    if (file.filename().string().starts_with("rossmann.")) return file;
  }
  throw input_error(fmt::format("{} holds no rossmann.parquet or rossmann.csv", path.string()), "",
                    "name the table with --from FILE");
}

Panel read_rossmann(const fs::path& file, std::optional<Date> until) {
  return make_panel(std::make_shared<Table>(read_table(file, until)));
}

}  // namespace shelfcast::data
