#include "data/calendar.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace shelfcast::data {
namespace {

using std::chrono::year_month_day;

FeatureColumn category(const std::string& name, std::vector<std::string> vocabulary) {
  return {name, Kind::categorical, "all", {}, std::move(vocabulary)};
}

FeatureColumn number(const std::string& name) { return {name, Kind::numeric, "all", {}, {}}; }

// Where in its year a date stands, in [0, 2 pi): leap years are a day longer.
double yearly_angle(Date date) {
  const std::chrono::year year = year_month_day{date}.year();
  const Date first{year / std::chrono::January / 1};
  const double days = year.is_leap() ? 366.0 : 365.0;
  return 2.0 * std::numbers::pi * static_cast<double>((date - first).count()) / days;
}

}  // namespace

const std::vector<std::string>& calendar_names() {
  static const std::vector<std::string> names{"weekday", "month", "monthday", "yearday"};
  return names;
}

std::vector<FeatureColumn> calendar_columns(const std::string& name) {
  if (name == "weekday")
    return {category("calendar.weekday", {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"})};
  if (name == "yearday") return {number("calendar.yearday_sin"), number("calendar.yearday_cos")};
  if (name == "month")
    return {category("calendar.month",
                     {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"})};
  if (name == "monthday") {
    std::vector<std::string> days;
    for (int day = 1; day <= 31; ++day) days.push_back(std::to_string(day));
    return {category("calendar.monthday", days)};
  }
  const std::string nearest = nearest_name(name, calendar_names());
  throw input_error(fmt::format("data.calendar: unknown column \"{}\"", name),
                    fmt::format("there are {}", fmt::join(calendar_names(), ", ")),
                    nearest.empty() ? "" : fmt::format("did you mean \"{}\"?", nearest));
}

bool is_calendar(const FeatureColumn& column) { return column.name.starts_with("calendar."); }

float calendar_value(const std::string& column, Date date) {
  const year_month_day day{date};
  if (column == "calendar.weekday") return static_cast<float>(std::chrono::weekday{date}.iso_encoding());
  if (column == "calendar.month") return static_cast<float>(static_cast<unsigned>(day.month()));
  if (column == "calendar.monthday") return static_cast<float>(static_cast<unsigned>(day.day()));
  if (column == "calendar.yearday_sin") return static_cast<float>(std::sin(yearly_angle(date)));
  if (column == "calendar.yearday_cos") return static_cast<float>(std::cos(yearly_angle(date)));
  throw data_error(fmt::format("unknown calendar column \"{}\"", column),
                   "features.json is of another version", "train again, or use the program that wrote it");
}

}  // namespace shelfcast::data
