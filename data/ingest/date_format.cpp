#include "data/ingest/date_format.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/error.h"

namespace shelfcast::data {
namespace {

constexpr std::array<std::string_view, 12> kMonths = {"jan", "feb", "mar", "apr", "may", "jun",
                                                      "jul", "aug", "sep", "oct", "nov", "dec"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

// Takes up to `digits` digits off the front of `text`.
std::optional<int> take_number(std::string_view& text, int digits) {
  int value = 0, taken = 0;
  while (taken < digits && !text.empty() && is_digit(text.front())) {
    value = value * 10 + (text.front() - '0');
    text.remove_prefix(1);
    ++taken;
  }
  if (taken == 0) return std::nullopt;
  return value;
}

// Takes exactly `digits` digits off the front of `text`, or nothing.
std::optional<int> take_digits(std::string_view& text, std::size_t digits) {
  if (text.size() < digits || !std::all_of(text.begin(), text.begin() + digits, is_digit))
    return std::nullopt;
  return take_number(text, static_cast<int>(digits));
}

std::optional<int> take_month_name(std::string_view& text) {
  if (text.size() < 3) return std::nullopt;
  std::string word(text.substr(0, 3));
  for (char& c : word) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (std::size_t month = 0; month < kMonths.size(); ++month) {
    if (word != kMonths[month]) continue;
    text.remove_prefix(3);
    return static_cast<int>(month) + 1;
  }
  return std::nullopt;
}

struct Parts {
  int year = 0, month = 0, day = 0;
};

// Takes what `part` ('Y', 'm', ...) stands for off the front of `text`; false when it is not there.
bool take_part(char part, std::string_view& text, Parts& parts) {
  const auto number = part == 'b'   ? take_month_name(text)
                      : part == 'Y' ? take_digits(text, 4)  // "24" is not the year 24
                                    : take_number(text, 2);
  if (!number) return false;
  switch (part) {
    case 'Y':
      parts.year = *number;
      return true;
    case 'y':
      parts.year = 2000 + *number;
      return true;
    case 'm':
    case 'b':
      parts.month = *number;
      return true;
    case 'd':
      parts.day = *number;
      return true;
    case 'H':
      return *number < 24;
    default:
      return *number < 61;
  }
}

// Takes "8", "08:26", "08:26:59" or "082659" off the front of `text`.
bool take_clock(std::string_view& text) {
  const auto hour = take_number(text, 2);
  if (!hour || *hour > 23) return false;
  for (const int most : {59, 60}) {  // a minute may have a leap second
    const bool colon = take(text, ':');
    const auto number = take_digits(text, 2);
    if (!number) return !colon;
    if (*number > most) return false;
  }
  return true;
}

// What may follow an ISO date: nothing, or a time of day, perhaps with a fraction of its seconds and a zone.
bool is_time_of_day(std::string_view text) {
  if (text.empty()) return true;
  if (!take(text, 'T') && !take(text, ' ')) return false;
  if (!take_clock(text)) return false;
  if ((take(text, '.') || take(text, ',')) && !take_number(text, 9)) return false;
  text = trimmed(text);
  if (take(text, '+') || take(text, '-')) return take_clock(text) && text.empty();
  constexpr std::array<std::string_view, 6> kEndings = {"", "Z", "UTC", "GMT", "AM", "PM"};
  return std::find(kEndings.begin(), kEndings.end(), text) != kEndings.end();
}

std::optional<Date> parse_iso(std::string_view text) {
  const std::size_t length = text.size() > 4 && text[4] == '-' ? 10 : 8;
  if (text.size() < length || !is_time_of_day(text.substr(length))) return std::nullopt;
  return parse_date(text.substr(0, length));
}

}  // namespace

std::string_view trimmed(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

DateParser::DateParser(std::string format) : format_(std::move(format)) {
  if (format_.empty()) return;
  std::string seen;
  for (std::size_t i = 0; i < format_.size(); ++i) {
    if (format_[i] != '%') continue;
    const char part = ++i < format_.size() ? format_[i] : '\0';
    if (std::string_view("YymbdHMS%").find(part) == std::string_view::npos || part == '\0') {
      throw input_error(fmt::format("date format \"{}\" has an unknown part \"%{}\"", format_, part), "",
                        "use %Y %y %m %b %d %H %M %S");
    }
    seen += part;
  }
  const auto has = [&](std::string_view any) { return seen.find_first_of(any) != std::string::npos; };
  if (!has("Yy") || !has("mb") || !has("d")) {
    throw input_error(fmt::format("date format \"{}\" does not name a day", format_),
                      "it lacks a year, a month or a day", "for example \"%d/%m/%Y\"");
  }
}

std::optional<Date> DateParser::operator()(std::string_view text) const {
  text = trimmed(text);
  if (format_.empty()) return parse_iso(text);
  Parts parts;
  for (std::size_t i = 0; i < format_.size(); ++i) {
    if (format_[i] == '%' && format_[i + 1] != '%') {
      if (!take_part(format_[++i], text, parts)) return std::nullopt;
      continue;
    }
    if (format_[i] == '%') ++i;
    if (text.empty() || text.front() != format_[i]) return std::nullopt;
    text.remove_prefix(1);
  }
  const std::chrono::year_month_day date{std::chrono::year{parts.year},
                                         std::chrono::month{static_cast<unsigned>(parts.month)},
                                         std::chrono::day{static_cast<unsigned>(parts.day)}};
  if (!text.empty() || !date.ok()) return std::nullopt;
  return Date{date};
}

std::string DateParser::expected() const { return format_.empty() ? "YYYY-MM-DD" : "\"" + format_ + "\""; }

}  // namespace shelfcast::data
