#include "data/ingest/rossmann.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>

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

// One row of the table.
struct Row {
  std::int32_t store = 0, day = 0;
  float sales = 0, customers = 0, open = 0, promo = 0, school_holiday = 0;
  std::int32_t state_holiday = kMissingCode;
};

struct Table {
  std::vector<Row> rows;
  std::vector<std::string> stores;
  std::vector<std::string> state_holidays;  // without "0", which means none
  std::vector<StaticInfo> facts;
  std::vector<std::vector<std::int32_t>> fact_codes;  // per fact: [stores]
  std::int32_t first_day = std::numeric_limits<std::int32_t>::max(),
               last_day = std::numeric_limits<std::int32_t>::min();
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

void append(const TableBatch& batch, const TableReader& reader, Table& table) {
  const auto& columns = batch.columns;
  for (std::size_t i = 0; i < static_cast<std::size_t>(batch.rows); ++i) {
    const Row row{columns[kStore].codes[i],
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

// "0" and "" both mean that the day is no state holiday; the others are renumbered without it.
void drop_no_holiday(Table& table) {
  std::vector<std::int32_t> renumbered;
  std::vector<std::string> kept;
  for (const std::string& name : table.state_holidays) {
    const bool none = name == "0";
    renumbered.push_back(none ? kMissingCode : static_cast<std::int32_t>(kept.size()));
    if (!none) kept.push_back(name);
  }
  for (Row& row : table.rows) {
    if (row.state_holiday >= 0) row.state_holiday = renumbered[static_cast<std::size_t>(row.state_holiday)];
  }
  table.state_holidays = std::move(kept);
}

Table read_table(const fs::path& file) {
  Table table;
  const auto columns = requests(table_columns(file), table.facts);
  table.fact_codes.resize(table.facts.size());
  TableReader reader({file}, columns);
  TableBatch batch;
  while (reader.next(batch)) append(batch, reader, table);
  table.stores = reader.dictionary(kStore);
  table.state_holidays = reader.dictionary(kStateHoliday);
  for (std::size_t fact = 0; fact < table.facts.size(); ++fact) {
    table.facts[fact].vocabulary = reader.dictionary(kFirstStatic + fact);
    table.fact_codes[fact].resize(table.stores.size(), kMissingCode);
  }
  drop_no_holiday(table);
  return table;
}

// Every store by every day, as filled from the rows.
struct Grid {
  std::int64_t days = 0;
  std::vector<float> sales, customers, open, promo, school_holiday, state_holiday;  // [stores, days]
};

void mark_gaps(const Table& table, const std::vector<bool>& has_row, Grid& grid) {
  const std::int64_t first =
      std::max<std::int64_t>(0, kGapFirst.time_since_epoch().count() - table.first_day);
  const std::int64_t last =
      std::min<std::int64_t>(grid.days - 1, kGapLast.time_since_epoch().count() - table.first_day);
  if (first > last || last - first != (kGapLast - kGapFirst).count())
    return;  // the table does not span the gap
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (std::int64_t store = 0; store < static_cast<std::int64_t>(table.stores.size()); ++store) {
    const auto begin = store * grid.days + first, end = store * grid.days + last + 1;
    if (std::find(has_row.begin() + begin, has_row.begin() + end, true) != has_row.begin() + end) continue;
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
  std::vector<bool> has_row(size);
  for (const Row& row : table.rows) {
    const auto at = static_cast<std::size_t>(row.store * grid.days + (row.day - table.first_day));
    if (has_row[at]) {
      throw input_error(
          fmt::format("store {} has two rows on {}", table.stores[static_cast<std::size_t>(row.store)],
                      format_date(Date{std::chrono::days{row.day}})),
          "duplicate rows", "remove one");
    }
    has_row[at] = true;
    grid.sales[at] = row.sales;
    grid.customers[at] = row.customers;
    grid.open[at] = row.open;
    grid.promo[at] = row.promo;
    grid.school_holiday[at] = row.school_holiday;
    grid.state_holiday[at] = static_cast<float>(row.state_holiday);
  }
  mark_gaps(table, has_row, grid);
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

}  // namespace

fs::path find_rossmann_file(const fs::path& path) {
  if (!fs::is_directory(path)) return table_files(path).front();
  for (const fs::path& file : table_files(path)) {
    if (file.filename().string().starts_with("rossmann.")) return file;
  }
  throw input_error(fmt::format("{} holds no rossmann.parquet or rossmann.csv", path.string()), "",
                    "name the table with --from FILE");
}

Panel read_rossmann(const fs::path& file) {
  const Table table = read_table(file);
  auto grid = std::make_shared<Grid>(make_grid(table));
  Panel panel;
  describe(table, *grid, panel);
  panel.table.codes.emplace_back();
  for (std::size_t store = 0; store < table.stores.size(); ++store) {
    panel.table.names.push_back("store_" + table.stores[store]);
    panel.table.codes[0].push_back(static_cast<std::int32_t>(store));
  }
  panel.table.codes.insert(panel.table.codes.end(), table.fact_codes.begin(), table.fact_codes.end());
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
  return panel;
}

}  // namespace shelfcast::data
