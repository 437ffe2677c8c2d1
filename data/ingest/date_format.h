// Dates as people write them: ISO by default, or a format such as "%d/%m/%Y %H:%M".
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/dates.h"

namespace shelfcast::data {

// Parses dates of one format. Known parts: %Y %y (2000-2099) %m %d %b (Jan..Dec) %H %M %S %%; numbers but
// %Y may lack their leading zero. Times are checked and dropped. An empty format means ISO: "2024-01-31",
// "20240131", a time of day may follow ("T10:00", " 20:15:00.5 UTC", "T100000-05:00").
class DateParser {
 public:
  DateParser() = default;
  // Throws Error(input) for an unknown part or a format without year, month and day.
  explicit DateParser(std::string format);

  // nullopt when `text` does not fit the format or is no date of the calendar. Spaces around it are ignored.
  std::optional<Date> operator()(std::string_view text) const;
  // What it expects, for messages: "YYYY-MM-DD" or the format.
  std::string expected() const;

 private:
  std::string format_;
};

// `text` without white space at its ends.
std::string_view trimmed(std::string_view text);

}  // namespace shelfcast::data
