#include "data/synth/events.h"

#include <array>
#include <cmath>

namespace shelfcast::data {
namespace {

using std::chrono::days;

constexpr double kDegree = 3.14159265358979323846 / 180.0;

Date date_at(int year, unsigned month, unsigned day) {
  return Date{std::chrono::year{year} / std::chrono::month{month} / std::chrono::day{day}};
}

// Days from 1970-01-01 to the Julian Day `julian`, as a date of UTC+8.
Date china_date(double julian) {
  return Date{days{static_cast<std::int64_t>(std::floor(julian - 2440587.5 + 8.0 / 24.0))}};
}

// Instant (Julian Day) of new moon number k since 2000 January 6 (Meeus, "Astronomical Algorithms", 2nd
// edition, chapter 49, the larger periodic terms: within a few minutes). Dynamical time is taken for
// universal time: a minute's error.
double new_moon(double k) {
  const double t = k / 1236.85;
  const double mean = 2451550.09766 + 29.530588861 * k + 0.00015437 * t * t;
  const double eccentricity = 1.0 - 0.002516 * t;
  const double sun = (2.5534 + 29.10535670 * k) * kDegree;
  const double moon = (201.5643 + 385.81693528 * k + 0.0107582 * t * t) * kDegree;
  const double latitude = (160.7108 + 390.67050284 * k - 0.0016118 * t * t) * kDegree;
  const double node = (124.7746 - 1.56375588 * k + 0.0020672 * t * t) * kDegree;
  return mean - 0.40720 * std::sin(moon) + 0.17241 * eccentricity * std::sin(sun) +
         0.01608 * std::sin(2 * moon) + 0.01039 * std::sin(2 * latitude) +
         0.00739 * eccentricity * std::sin(moon - sun) - 0.00514 * eccentricity * std::sin(moon + sun) +
         0.00208 * eccentricity * eccentricity * std::sin(2 * sun) - 0.00111 * std::sin(moon - 2 * latitude) -
         0.00057 * std::sin(moon + 2 * latitude) + 0.00056 * eccentricity * std::sin(2 * moon + sun) -
         0.00042 * std::sin(3 * moon) + 0.00042 * eccentricity * std::sin(sun + 2 * latitude) -
         0.00017 * std::sin(node);
}

// Instant of the December solstice (Meeus, chapter 27, without its small periodic terms: within twenty
// minutes).
double december_solstice(int year) {
  const double y = (year - 2000) / 1000.0;
  return 2451900.05952 + 365242.74049 * y - 0.06223 * y * y - 0.00823 * y * y * y + 0.00032 * y * y * y * y;
}

bool between(Date date, Date first, Date last) { return first <= date && date <= last; }

}  // namespace

std::vector<std::string> event_names() {
  return {"none",           "new year's eve", "new year",         "lunar new year's eve",
          "lunar new year", "easter week",    "easter",           "easter monday",
          "double 11 eve",  "double 11",      "christmas season", "christmas"};
}

Date easter_sunday(int year) {
  const int a = year % 19, b = year / 100, c = year % 100, d = b / 4, e = b % 4;
  const int f = (b + 8) / 25, g = (b - f + 1) / 3, h = (19 * a + b - d - g + 15) % 30;
  const int i = c / 4, k = c % 4, l = (32 + 2 * e + 2 * i - h - k) % 7, m = (a + 11 * h + 22 * l) / 451;
  const int n = h + l - 7 * m + 114;
  return date_at(year, static_cast<unsigned>(n / 31), static_cast<unsigned>(n % 31 + 1));
}

Date lunar_new_year(int year) {
  const double solstice = december_solstice(year - 1);
  const Date solstice_date = china_date(solstice);
  double k = std::floor((solstice - 2451550.1) / 29.530588861) + 1.0;
  while (china_date(new_moon(k)) > solstice_date)
    k -= 1.0;  // the month that holds the solstice is the eleventh
  Date first_day = china_date(new_moon(k + 2.0));
  if (first_day < date_at(year, 1, 21)) first_day = china_date(new_moon(k + 3.0));  // a leap month between
  return first_day;
}

Event event_of(Date date) {
  const std::chrono::year_month_day parts{date};
  const int year = static_cast<int>(parts.year());
  if (date == date_at(year, 12, 25)) return Event::christmas;
  if (date == date_at(year, 12, 31)) return Event::new_year_eve;
  if (date == date_at(year, 1, 1)) return Event::new_year;
  if (date == date_at(year, 11, 11)) return Event::double_11;
  if (between(date, date_at(year, 12, 11), date_at(year, 12, 24))) return Event::christmas_season;
  if (between(date, date_at(year, 11, 8), date_at(year, 11, 10))) return Event::double_11_eve;
  const unsigned month = static_cast<unsigned>(parts.month());
  if (month <= 2) {
    const Date lunar = lunar_new_year(year);
    if (between(date, lunar, lunar + days{2})) return Event::lunar_new_year;
    if (between(date, lunar - days{7}, lunar - days{1})) return Event::lunar_new_year_eve;
  }
  if (month == 3 || month == 4) {
    const Date easter = easter_sunday(year);
    if (date == easter) return Event::easter;
    if (date == easter + days{1}) return Event::easter_monday;
    if (between(date, easter - days{6}, easter - days{1})) return Event::easter_week;
  }
  return Event::none;
}

}  // namespace shelfcast::data
