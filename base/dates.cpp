#include "base/dates.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "base/error.h"

namespace shelfcast {
namespace {

using std::chrono::day;
using std::chrono::days;
using std::chrono::month;
using std::chrono::months;
using std::chrono::year;
using std::chrono::year_month;
using std::chrono::year_month_day;
using std::chrono::year_month_day_last;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The number in text[begin, begin + length), -1 when it is not all digits.
int number_at(std::string_view text, std::size_t begin, std::size_t length) {
  int value = 0;
  for (const char c : text.substr(begin, length)) {
    if (!is_digit(c)) return -1;
    value = value * 10 + (c - '0');
  }
  return value;
}

std::optional<Date> date_from(int y, int m, int d) {
  if (y < 0 || m < 0 || d < 0) return std::nullopt;
  const year_month_day date{year{y}, month{static_cast<unsigned>(m)}, day{static_cast<unsigned>(d)}};
  if (!date.ok()) return std::nullopt;
  return Date{date};
}

// What may follow a date: nothing, or a time of day, which we drop.
bool is_time_of_day(std::string_view rest) {
  return rest.empty() || ((rest[0] == 'T' || rest[0] == ' ') && rest.size() >= 2 && is_digit(rest[1]));
}

std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

std::int64_t months_between(year_month_day from, year_month_day to) {
  return (static_cast<int>(to.year()) - static_cast<int>(from.year())) * 12 +
         (static_cast<int>(static_cast<unsigned>(to.month())) -
          static_cast<int>(static_cast<unsigned>(from.month())));
}

}  // namespace

std::optional<Date> parse_date(std::string_view text) {
  if (text.size() >= 10 && text[4] == '-' && text[7] == '-' && is_time_of_day(text.substr(10)))
    return date_from(number_at(text, 0, 4), number_at(text, 5, 2), number_at(text, 8, 2));
  if (text.size() == 8) return date_from(number_at(text, 0, 4), number_at(text, 4, 2), number_at(text, 6, 2));
  return std::nullopt;
}

std::string format_date(Date date) {
  const year_month_day d{date};
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(d.year()), static_cast<unsigned>(d.month()),
                     static_cast<unsigned>(d.day()));
}

const char* to_string(Frequency frequency) {
  switch (frequency) {
    case Frequency::daily:
      return "D";
    case Frequency::weekly:
      return "W";
    case Frequency::monthly:
      return "M";
  }
  return "D";
}

Frequency parse_frequency(std::string_view text) {
  for (const Frequency frequency : {Frequency::daily, Frequency::weekly, Frequency::monthly})
    if (text == to_string(frequency)) return frequency;
  throw input_error(fmt::format("unknown frequency \"{}\"", text), {},
                    "use D (daily), W (weekly) or M (monthly)");
}

Date TimeAxis::date_of(std::int64_t step) const {
  if (frequency == Frequency::daily) return start + days{step};
  if (frequency == Frequency::weekly) return start + days{7 * step};
  const year_month_day first{start};
  const year_month target = year_month{first.year(), first.month()} + months{step};
  const day last = year_month_day_last{target.year(), std::chrono::month_day_last{target.month()}}.day();
  return Date{target / std::min(first.day(), last)};
}

std::optional<std::int64_t> TimeAxis::step_of(Date date) const {
  const std::int64_t step = step_at_or_before(date);
  if (date_of(step) != date) return std::nullopt;
  return step;
}

std::int64_t TimeAxis::step_at_or_before(Date date) const {
  const std::int64_t passed = (date - start).count();
  if (frequency == Frequency::daily) return passed;
  if (frequency == Frequency::weekly) return floor_div(passed, 7);
  const std::int64_t step = months_between(year_month_day{start}, year_month_day{date});
  return date_of(step) <= date ? step : step - 1;
}

}  // namespace shelfcast
