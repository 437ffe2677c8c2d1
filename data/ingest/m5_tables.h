// The three tables of M5 as plain arrays. Included only inside data/ingest.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <unordered_map>
#include <vector>

namespace shelfcast::data::m5 {

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
  std::int64_t weeks = 0;
  std::vector<float> price;            // [series, weeks], NaN = none
  std::vector<std::int64_t> released;  // wm_yr_wk per series, or kNeverPriced
};

// Reads one file, or several with the same days as one table. Throws Error(input).
Sales read_sales(const std::vector<std::filesystem::path>& files);
// The calendar from the first of `day_names` to its end; every row has to be the day after the one before.
// Throws Error(input).
Calendar read_calendar(const std::filesystem::path& file, const std::vector<std::string>& day_names);
// Prices of series that the sales hold. Throws Error(input), also when two rows of the sales are the same
// series.
Prices read_prices(const std::filesystem::path& file, const Calendar& calendar, const Sales& sales);

// A position on the axis of weeks for each wm_yr_wk that some day of the calendar is in.
std::unordered_map<std::int64_t, std::int64_t> week_positions(const Calendar& calendar);

}  // namespace shelfcast::data::m5
