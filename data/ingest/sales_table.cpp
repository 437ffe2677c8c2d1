#include "data/ingest/sales_table.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "base/error.h"
#include "data/ingest/arrow_convert.h"
#include "data/ingest/long_rows.h"

namespace shelfcast::data {
namespace {

namespace fs = std::filesystem;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

Date date_of(std::int32_t day) { return Date{std::chrono::days{day}}; }

const char* adjective(Frequency frequency) {
  switch (frequency) {
    case Frequency::daily:
      return "daily";
    case Frequency::weekly:
      return "weekly";
    case Frequency::monthly:
      return "monthly";
  }
  return "";
}

// Monthly when every date is the same day of its month (and there is more than one), weekly when all are
// whole weeks apart.
Frequency frequency_of(const std::vector<std::int32_t>& days) {
  if (days.size() < 2) return Frequency::daily;
  const auto all_on = [&](Frequency frequency) {
    const TimeAxis axis{date_of(days.front()), frequency};
    return std::all_of(days.begin(), days.end(),
                       [&](std::int32_t day) { return axis.step_of(date_of(day)).has_value(); });
  };
  if (all_on(Frequency::monthly)) return Frequency::monthly;
  return all_on(Frequency::weekly) ? Frequency::weekly : Frequency::daily;
}

// The axis that holds `days` (distinct, ascending). Half of its steps at least have to be there: a table of
// other frequency would be nearly all missing.
TimeAxis axis_of(const std::vector<std::int32_t>& days, std::optional<Frequency> wanted,
                 const fs::path& file) {
  const TimeAxis axis{date_of(days.front()), wanted.value_or(frequency_of(days))};
  const auto refuse = [&](const std::string& problem) {
    throw input_error(
        fmt::format("{}: {}", file.string(), problem), "dates of irregular frequency",
        wanted ? fmt::format("the forecaster works with {} dates: give one row for each", adjective(*wanted))
               : "give one row for each day, week or month");
  };
  for (const std::int32_t day : days) {
    if (axis.step_of(date_of(day))) continue;
    refuse(fmt::format("{} is not on the {} grid that starts on {}", format_date(date_of(day)),
                       adjective(axis.frequency), format_date(axis.start)));
  }
  const std::int64_t steps = *axis.step_of(date_of(days.back())) + 1;
  if (static_cast<std::int64_t>(days.size()) * 2 < steps) {
    refuse(fmt::format("only {} of the {} {} dates from {} to {} are there", days.size(), steps,
                       adjective(axis.frequency), format_date(axis.start),
                       format_date(date_of(days.back()))));
  }
  return axis;
}

std::vector<std::int32_t> distinct(std::vector<std::int32_t> days) {
  std::sort(days.begin(), days.end());
  days.erase(std::unique(days.begin(), days.end()), days.end());
  return days;
}

// Sizes the table for its axis; all values missing.
void lay_out(SalesTable& table, const std::vector<std::int32_t>& days, std::optional<Frequency> frequency,
             const fs::path& file) {
  table.axis = axis_of(days, frequency, file);
  table.steps = *table.axis.step_of(date_of(days.back())) + 1;
  table.demand.assign(table.series.size() * static_cast<std::size_t>(table.steps), kNan);
}

void find_demand_end(SalesTable& table, const fs::path& file) {
  for (std::size_t i = 0; i < table.demand.size(); ++i) {
    if (!std::isnan(table.demand[i]))
      table.demand_end = std::max(table.demand_end, static_cast<std::int64_t>(i) % table.steps + 1);
  }
  if (table.demand_end == 0)
    throw input_error(fmt::format("{} holds no value", file.string()), "every value is missing");
}

// A cell that float32 cannot hold would make forecasts of its series all infinite or NaN. `table` can tell
// the place of a row.
template <typename Table, typename Row>
float finite(float number, const Table& table, Row row, const std::string& column) {
  if (std::isinf(number))
    throw input_error(fmt::format("{}: \"{}\" is infinite", table.place(row), column),
                      fmt::format("numbers reach to {:.1e}", std::numeric_limits<float>::max()),
                      "correct it, or leave the cell empty if it is missing");
  return number;
}

// ---- long

LongMap map_of(const std::vector<std::string>& columns) {
  LongMap map;
  map.series = {"series"};
  map.date = "date";
  map.target = "value";
  map.negative = Negative::keep;
  for (const std::string& column : columns) {
    if (column == "series" || column == "date" || column == "value") continue;
    map.covariates.push_back(
        {column, column, Role::known, Kind::categorical, "series", Aggregate::last, Fill::none});
  }
  return map;
}

// The numbers behind a column's texts, up to the first that is none.
std::vector<float> as_numbers(const std::vector<std::string>& vocabulary) {
  std::vector<float> numbers;
  for (const std::string& text : vocabulary) {
    const auto number = parse_number(text);
    if (!number) break;
    numbers.push_back(static_cast<float>(*number));
  }
  return numbers;
}

SalesTable::Column covariate_of(const LongRows& rows, std::size_t index, const std::string& name,
                                const std::vector<std::size_t>& cells, std::size_t size) {
  const std::vector<std::string>& texts = rows.covariate_vocabularies[index];
  SalesTable::Column column{name, texts, std::vector<std::int32_t>(size, -1), as_numbers(texts)};
  const bool numeric = column.kind() == Kind::numeric;
  for (std::size_t row = 0; row < cells.size(); ++row) {
    const auto code = static_cast<std::int32_t>(rows.covariates[index][row]);
    if (code < 0) continue;
    column.codes[cells[row]] = code;
    if (numeric) finite(column.numbers[static_cast<std::size_t>(code)], rows, row, name);
  }
  return column;
}

// Where each row stands in the table; two rows at one place are an error.
std::vector<std::size_t> cells_of(const LongRows& rows, const SalesTable& table) {
  std::vector<std::size_t> cells;
  std::vector<std::int64_t> taken(table.demand.size(), -1);
  for (std::size_t row = 0; row < rows.series.size(); ++row) {
    const auto step = static_cast<std::size_t>(*table.axis.step_of(date_of(rows.day[row])));
    const std::size_t cell =
        static_cast<std::size_t>(rows.series[row]) * static_cast<std::size_t>(table.steps) + step;
    if (taken[cell] >= 0) {
      throw input_error(fmt::format("series {} has two rows on {}: {} and {}",
                                    table.series[static_cast<std::size_t>(rows.series[row])],
                                    format_date(date_of(rows.day[row])),
                                    rows.place(static_cast<std::size_t>(taken[cell])), rows.place(row)),
                        "duplicate (series, date)", "remove one");
    }
    taken[cell] = static_cast<std::int64_t>(row);
    cells.push_back(cell);
  }
  return cells;
}

SalesTable read_long(const fs::path& path, const std::vector<fs::path>& files,
                     const std::vector<std::string>& columns, std::optional<Frequency> frequency) {
  LongMap map = map_of(columns);
  if (frequency) map.frequency = *frequency;
  const LongRows rows = read_long_rows(files, map);
  SalesTable table;
  table.series = rows.names;
  lay_out(table, distinct(rows.day), frequency, path);
  const auto cells = cells_of(rows, table);
  for (std::size_t row = 0; row < cells.size(); ++row)
    table.demand[cells[row]] = finite(rows.target[row], rows, row, map.target);
  for (std::size_t c = 0; c < map.covariates.size(); ++c) {
    table.covariates.push_back(covariate_of(rows, c, map.covariates[c].name, cells, table.demand.size()));
  }
  return table;
}

// ---- wide

struct WideColumns {
  std::vector<ColumnRequest> requests;  // keys, then dates
  std::size_t keys = 0;
  std::vector<std::int32_t> days;  // per date column
};

WideColumns wide_columns(const std::vector<std::string>& columns) {
  WideColumns wide;
  std::vector<ColumnRequest> dates;
  for (const std::string& column : columns) {
    if (const auto date = parse_date(column)) {
      dates.push_back({column, ColumnType::number});
      wide.days.push_back(static_cast<std::int32_t>(date->time_since_epoch().count()));
    } else {
      wide.requests.push_back({column});
    }
  }
  wide.keys = wide.requests.size();
  wide.requests.insert(wide.requests.end(), dates.begin(), dates.end());
  return wide;
}

std::string wide_name(const TableReader& reader, const TableBatch& batch, const WideColumns& wide,
                      std::size_t row) {
  std::string name;
  for (std::size_t key = 0; key < wide.keys; ++key) {
    const std::int32_t code = batch.columns[key].codes[row];
    if (code == kMissingCode) {
      throw input_error(
          fmt::format("{} has no \"{}\"", reader.place(batch.first_row + static_cast<std::int64_t>(row)),
                      wide.requests[key].name),
          "it is part of the series' name");
    }
    name += (key == 0 ? "" : "/") + reader.dictionary(key)[static_cast<std::size_t>(code)];
  }
  return name;
}

SalesTable read_wide(const fs::path& path, const std::vector<fs::path>& files,
                     const std::vector<std::string>& columns, std::optional<Frequency> frequency) {
  const WideColumns wide = wide_columns(columns);
  if (wide.keys == 0)
    throw input_error(fmt::format("{} has only date columns", path.string()), "no column names the series");
  if (distinct(wide.days).size() != wide.days.size()) {
    throw input_error(fmt::format("{} has two columns of the same date", path.string()), "", "remove one");
  }
  SalesTable table;
  lay_out(table, distinct(wide.days), frequency, path);
  const auto steps = static_cast<std::size_t>(table.steps);
  std::unordered_map<std::string, std::int64_t> rows;
  TableReader reader(files, wide.requests);
  TableBatch batch;
  while (reader.next(batch)) {
    const std::size_t first = table.series.size();
    for (std::size_t row = 0; row < static_cast<std::size_t>(batch.rows); ++row) {
      const std::string name = wide_name(reader, batch, wide, row);
      const auto [found, fresh] = rows.try_emplace(name, batch.first_row + static_cast<std::int64_t>(row));
      if (!fresh) {
        throw input_error(fmt::format("series {} stands twice: {} and {}", name, reader.place(found->second),
                                      reader.place(batch.first_row + static_cast<std::int64_t>(row))),
                          "duplicate series", "remove one");
      }
      table.series.push_back(name);
    }
    table.demand.resize(table.series.size() * steps, kNan);
    for (std::size_t date = 0; date < wide.days.size(); ++date) {
      const auto step = static_cast<std::size_t>(*table.axis.step_of(date_of(wide.days[date])));
      const auto& numbers = batch.columns[wide.keys + date].numbers;
      for (std::size_t row = 0; row < numbers.size(); ++row)
        table.demand[(first + row) * steps + step] =
            finite(static_cast<float>(numbers[row]), reader, batch.first_row + static_cast<std::int64_t>(row),
                   wide.requests[wide.keys + date].name);
    }
  }
  return table;
}

}  // namespace

SalesTable read_sales_table(const fs::path& path, std::optional<Frequency> frequency) {
  const auto files = table_files(path);
  const auto columns = table_columns(files.front());
  const bool has_date_column = std::find(columns.begin(), columns.end(), "date") != columns.end();
  const bool has_date_names = std::any_of(
      columns.begin(), columns.end(), [](const std::string& name) { return parse_date(name).has_value(); });
  SalesTable table = !has_date_column && has_date_names ? read_wide(path, files, columns, frequency)
                                                        : read_long(path, files, columns, frequency);
  find_demand_end(table, path);
  return table;
}

}  // namespace shelfcast::data
