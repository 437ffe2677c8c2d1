// Columns that follow from the date alone, and so are known for any step ahead.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/dates.h"
#include "data/features.h"

namespace shelfcast::data {

// What a recipe may list under data.calendar: weekday, month, monthday (categories), yearday (two numbers).
const std::vector<std::string>& calendar_names();

// The model columns of one of those names: "calendar.weekday", ..., and for yearday "calendar.yearday_sin"
// and "calendar.yearday_cos". Throws Error(input) naming the nearest name.
std::vector<FeatureColumn> calendar_columns(const std::string& name);

// Whether a column is made from dates and not read from a corpus.
bool is_calendar(const FeatureColumn& column);

// The value of a calendar column on a date: the model code (vocabulary index + 1) for categories, the number
// for others.
float calendar_value(const std::string& column, Date date);

}  // namespace shelfcast::data
