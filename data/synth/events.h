// The days on which a market is not its usual self: fixed feasts, feasts that move with the moon, and a
// shopping day.
#pragma once

#include <string>
#include <vector>

#include "base/dates.h"

namespace shelfcast::data {

enum class Event {
  none,
  new_year_eve,
  new_year,
  lunar_new_year_eve,  // the week before, when people stock up
  lunar_new_year,      // its first three days
  easter_week,         // Monday to Saturday before
  easter,              // the Sunday
  easter_monday,
  double_11_eve,  // three days of waiting for the prices of 11-11
  double_11,
  christmas_season,  // 11 to 24 December
  christmas,         // stores are closed
  count
};
inline constexpr int kEvents = static_cast<int>(Event::count);

// "none", "new year's eve", ...: the vocabulary of the covariate, in the order of the enum.
std::vector<std::string> event_names();

// Easter Sunday of the Gregorian calendar (anonymous computus of 1876, Nature vol. 13 p. 487). year >= 1583.
Date easter_sunday(int year);

// Lunar new year by the calendar's own rule, with new moons and solstices of China Standard Time (UTC+8): the
// second new moon after the month of the winter solstice began, a month later when that falls before 21
// January. Right for 1900 to 2100, but for new moons within minutes of midnight.
Date lunar_new_year(int year);

// The event of a date; where two meet, the rarer one (a moving feast before a season).
Event event_of(Date date);

}  // namespace shelfcast::data
