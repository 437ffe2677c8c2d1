// Calendar dates as day numbers, and time axes of regular frequency.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace shelfcast {

using Date = std::chrono::sys_days;

// Parses "YYYY-MM-DD" (a time of day after 'T' or ' ' is accepted and dropped) or "YYYYMMDD"; nullopt if it
// is not a date of the calendar.
std::optional<Date> parse_date(std::string_view text);
// "YYYY-MM-DD".
std::string format_date(Date date);

enum class Frequency { daily, weekly, monthly };

// "D", "W", "M".
const char* to_string(Frequency frequency);
// Inverse; throws Error(input) naming the text.
Frequency parse_frequency(std::string_view text);

// A regular time axis: step 0 is `start`; weekly steps are 7 days; monthly steps keep the day of the month
// (cut to the month's last day).
struct TimeAxis {
  Date start{};
  Frequency frequency = Frequency::daily;

  Date date_of(std::int64_t step) const;
  // The step whose period begins on `date`; nullopt when the date does not begin a step of this axis.
  std::optional<std::int64_t> step_of(Date date) const;
  // The last step that begins on or before `date` (may be negative).
  std::int64_t step_at_or_before(Date date) const;
};

}  // namespace shelfcast
