#include "scorer/stock_table.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <unordered_map>

#include "base/csv.h"
#include "base/error.h"
#include "base/files.h"
#include "scorer/csv.h"

namespace shelfcast::scorer {
namespace {

const std::vector<std::string>& known_columns() {
  static const std::vector<std::string> kNames = {
      "series",        "store", "item", "on_hand",   "on_order",     "lead_time",     "review_period",
      "service_level", "price", "moq",  "unit_cost", "holding_cost", "shortage_cost", "pack_size"};
  return kNames;
}

std::string did_you_mean(const std::string& word, const std::vector<std::string>& candidates) {
  const std::string near = nearest_name(word, candidates);
  return near.empty() ? "" : "did you mean \"" + near + "\"?";
}

// Two names as one key; no name holds a zero byte (the CSV reader refuses it).
std::string pair_key(const std::string& store, const std::string& item) { return store + '\0' + item; }

// Beyond it the order would be that of the largest path drawn, whatever was asked for.
constexpr double kHighestTarget = highest_level(kOrderPaths);

std::string too_high() {
  return fmt::format("the {} paths that orders are made with tell at most {}", kOrderPaths, kHighestTarget);
}

class Reader {
 public:
  Reader(const std::filesystem::path& path, const SeriesNames& names, std::int64_t horizon,
         const StockDefaults& defaults)
      : path_(path), names_(names), horizon_(horizon), defaults_(defaults), table_(read_csv(path)) {
    find_columns();
    index_series();
  }

  StockTable read() {
    StockTable stock;
    stock.ignored_columns = ignored_;
    std::map<std::int64_t, std::int64_t> seen;
    for (const CsvRow& row : table_.rows) {
      stock.rows.push_back(read_row(row));
      const auto [first, fresh] = seen.emplace(stock.rows.back().series, row.line);
      if (!fresh)
        fail(row, fmt::format("series \"{}\" is here a second time", names_.series[stock.rows.back().series]),
             fmt::format("its first row is line {}", first->second), "keep one row a series");
    }
    if (stock.rows.empty())
      throw input_error(
          path_.string() + " has no rows", {},
          "write one row a series; shelfcast-score BUNDLE --template FILE makes a table to fill in");
    return stock;
  }

 private:
  [[noreturn]] void fail(const CsvRow& row, const std::string& problem, const std::string& why = {},
                         const std::string& advice = {}) const {
    throw input_error(fmt::format("{}:{}: {}", path_.string(), row.line, problem), why, advice);
  }

  void find_columns() {
    for (std::size_t i = 0; i < table_.header.size(); ++i) {
      const std::string& name = table_.header[i];
      if (std::ranges::find(known_columns(), name) == known_columns().end()) {
        // A misspelt column silently left out would order something else; a foreign one is only not ours.
        if (const std::string hint = did_you_mean(name, known_columns()); !hint.empty())
          throw input_error(fmt::format("{}: there is no column \"{}\"", path_.string(), name), {}, hint);
        ignored_.push_back(name);
      } else if (!column_.emplace(name, i).second) {
        throw input_error(fmt::format("{}: column \"{}\" is there twice", path_.string(), name));
      }
    }
    by_pair_ = !column_.contains("series");
    if (by_pair_ && !(column_.contains("store") && column_.contains("item"))) missing("series");
    if (!column_.contains("on_hand")) missing("on_hand");
    if (by_pair_ && (names_.store.empty() || names_.item.empty()))
      throw input_error(path_.string() + " has no column \"series\"", "the bundle has no stores and items",
                        "name each row's series");
  }

  [[noreturn]] void missing(const std::string& name) const {
    throw input_error(
        fmt::format("{} has no column \"{}\"", path_.string(), name),
        fmt::format("its columns are {}", fmt::join(table_.header, ", ")),
        name == "series" ? "name each row's series, or its store and item" : "units on the shelf");
  }

  void index_series() {
    for (std::size_t i = 0; i < names_.series.size(); ++i) {
      const std::string key = by_pair_ ? pair_key(names_.store[i], names_.item[i]) : names_.series[i];
      if (!index_.emplace(key, static_cast<std::int64_t>(i)).second) ambiguous_.insert_or_assign(key, true);
    }
  }

  const std::string& cell(const CsvRow& row, const std::string& name) const {
    static const std::string kEmpty;
    const auto found = column_.find(name);
    return found == column_.end() ? kEmpty : row.cells[found->second];
  }

  std::int64_t series_of(const CsvRow& row) const {
    if (!by_pair_) {
      const std::string& name = cell(row, "series");
      if (const auto found = index_.find(name); found != index_.end()) return found->second;
      fail(row, fmt::format("the bundle has no series \"{}\"", name), {}, did_you_mean(name, names_.series));
    }
    const std::string &store = cell(row, "store"), &item = cell(row, "item");
    const std::string key = pair_key(store, item);
    if (ambiguous_.contains(key))
      fail(row, fmt::format("item \"{}\" in store \"{}\" is more than one series", item, store), {},
           "add a column \"series\"");
    if (const auto found = index_.find(key); found != index_.end()) return found->second;
    const bool store_known = std::ranges::find(names_.store, store) != names_.store.end();
    fail(row, fmt::format("the bundle has no item \"{}\" in store \"{}\"", item, store), {},
         store_known ? did_you_mean(item, names_.item) : did_you_mean(store, names_.store));
  }

  // Nothing where the cell is empty or the column absent.
  std::optional<double> number(const CsvRow& row, const std::string& name) const {
    std::string_view text = cell(row, name);
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    if (text.empty()) return std::nullopt;
    double value = 0.0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failed != std::errc{} || end != text.data() + text.size() || !std::isfinite(value))
      fail(row, fmt::format("{} is \"{}\", which is not a number", name, text), {},
           "write numbers like 12 or 12.5");
    return value;
  }
  double at_least(double smallest, const CsvRow& row, const std::string& name, double otherwise) const {
    const double value = number(row, name).value_or(otherwise);
    if (value < smallest) fail(row, fmt::format("{} is {}, below {}", name, value, smallest));
    return value;
  }
  int whole(int smallest, const CsvRow& row, const std::string& name, int otherwise) const {
    const double value = at_least(smallest, row, name, otherwise);
    if (value != std::floor(value) || value > 1e6)
      fail(row, fmt::format("{} is {}, not a whole number of steps", name, value));
    return static_cast<int>(value);
  }

  std::optional<UnitCosts> costs(const CsvRow& row) const {
    const auto price = number(row, "price"), cost = number(row, "unit_cost");
    const auto holding = number(row, "holding_cost"), shortage = number(row, "shortage_cost");
    if (!price && !cost && !holding && !shortage) return std::nullopt;
    if (!shortage && !(price && cost))
      fail(row, "what a missing unit costs is not said", {}, "give shortage_cost, or price and unit_cost");
    if (!holding && !cost)
      fail(row, "what an unsold unit costs is not said", {}, "give holding_cost or unit_cost");
    const UnitCosts costs{shortage ? *shortage : *price - *cost, holding ? *holding : *cost};
    if (!(costs.underage > 0.0))
      fail(row, fmt::format("a missing unit costs {}, so nothing would ever be ordered", costs.underage), {},
           "a price above unit_cost or a positive shortage_cost");
    if (!(costs.overage > 0.0))
      fail(row, fmt::format("an unsold unit costs {}, which must be above 0", costs.overage));
    return costs;
  }

  StockRow read_row(const CsvRow& cells) const {
    StockRow row;
    row.series = series_of(cells);
    row.position = read_position(cells, names_.series[row.series]);
    row.policy = read_policy(cells);
    return row;
  }

  StockPosition read_position(const CsvRow& cells, const std::string& series) const {
    StockPosition position;
    position.row = fmt::format("{}:{} ({})", path_.string(), cells.line, series);
    if (!number(cells, "on_hand"))
      fail(cells, "on_hand is empty", {}, "write 0 when nothing is on the shelf");
    position.on_hand = at_least(0.0, cells, "on_hand", 0.0);
    position.on_order = at_least(0.0, cells, "on_order", 0.0);
    position.frequency = defaults_.frequency;
    position.lead_time = whole(0, cells, "lead_time", defaults_.lead_time);
    position.review_period = whole(1, cells, "review_period", defaults_.review_period);
    if (position.protection_steps() > horizon_)
      fail(cells,
           fmt::format("lead time {} and review period {} make {} steps", position.lead_time,
                       position.review_period, position.protection_steps()),
           fmt::format("the bundle forecasts {}", horizon_), "shorten them or train with a longer horizon");
    position.minimum_order = at_least(0.0, cells, "moq", defaults_.moq);
    position.pack = at_least(0.0, cells, "pack_size", defaults_.pack_size);
    if (position.pack == 0.0) fail(cells, "pack_size is 0", {}, "write 1 for single units");
    return position;
  }

  PolicyConfig read_policy(const CsvRow& cells) const {
    PolicyConfig policy{defaults_.policy, std::nullopt, costs(cells)};
    const auto level = number(cells, "service_level");
    if (level && policy.costs)
      fail(cells, "both a service level and costs are given", {}, "leave one of them empty");
    if (policy.costs) {
      if (const double ratio = critical_ratio(*policy.costs); ratio > kHighestTarget)
        fail(cells,
             fmt::format(
                 "a missing unit costs {} and an unsold one {}: {} of all intervals without a shortage",
                 policy.costs->underage, policy.costs->overage, ratio),
             too_high(), "correct the costs, or give a service_level instead");
      return policy;
    }
    if (policy.policy == Policy::newsvendor)
      fail(cells, "the newsvendor policy has no costs", "it weighs a unit short against a unit over",
           "give price and unit_cost, or shortage_cost and holding_cost, or use --policy base-stock");
    policy.service_level = level.value_or(defaults_.service_level);
    if (!(*policy.service_level > 0.0 && *policy.service_level < 1.0))
      fail(cells, fmt::format("service_level is {}", *policy.service_level), "it lies between 0 and 1",
           "write 0.95 for 95 %");
    if (*policy.service_level > kHighestTarget)
      fail(cells, fmt::format("service_level is {}", *policy.service_level), too_high(),
           fmt::format("ask for at most {}", std::floor(1e4 * kHighestTarget) / 1e4));
    return policy;
  }

  const std::filesystem::path& path_;
  const SeriesNames& names_;
  std::int64_t horizon_;
  const StockDefaults& defaults_;
  CsvTable table_;
  std::map<std::string, std::size_t> column_;
  std::vector<std::string> ignored_;
  bool by_pair_ = false;
  std::unordered_map<std::string, std::int64_t> index_;
  std::unordered_map<std::string, bool> ambiguous_;
};

}  // namespace

StockTable read_stock_table(const std::filesystem::path& path, const SeriesNames& names, std::int64_t horizon,
                            const StockDefaults& defaults) {
  return Reader(path, names, horizon, defaults).read();
}

void write_stock_template(const std::filesystem::path& path, const SeriesNames& names, std::int64_t horizon,
                          const StockDefaults& defaults) {
  if (const int steps = defaults.lead_time + defaults.review_period; steps > horizon)
    throw input_error(fmt::format("lead time {} and review period {} make {} steps", defaults.lead_time,
                                  defaults.review_period, steps),
                      fmt::format("the bundle forecasts {}", horizon),
                      "name shorter ones with --lead-time and --review");
  // The newsvendor knows no service level, but that of the costs.
  const bool costs = defaults.policy == Policy::newsvendor;
  const std::string goal = costs ? "," : fmt::format("{}", defaults.service_level);
  std::string text = fmt::format("series,on_hand,on_order,lead_time,review_period,{},moq,pack_size\n",
                                 costs ? "price,unit_cost" : "service_level");
  for (const std::string& name : names.series)
    text += fmt::format("{},0,0,{},{},{},{},{}\n", csv_cell(name), defaults.lead_time, defaults.review_period,
                        goal, defaults.moq, defaults.pack_size);
  write_file_atomically(path, text);
}

}  // namespace shelfcast::scorer
