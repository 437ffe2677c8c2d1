#include "data/synth/events.h"

#include <gtest/gtest.h>

#include <set>

namespace shelfcast::data {
namespace {

Date date(const char* text) { return *parse_date(text); }

// Published tables of Easter Sundays.
TEST(Events, easter_is_on_its_published_dates) {
  for (const char* day :
       {"1981-04-19", "2000-04-23", "2008-03-23", "2011-04-24", "2015-04-05", "2016-03-27", "2017-04-16",
        "2018-04-01", "2019-04-21", "2020-04-12", "2021-04-04", "2022-04-17", "2023-04-09", "2024-03-31",
        "2025-04-20", "2026-04-05", "2027-03-28", "2028-04-16", "2038-04-25"}) {
    const int year = static_cast<int>(std::chrono::year_month_day{date(day)}.year());
    EXPECT_EQ(format_date(easter_sunday(year)), day);
  }
}

// Published tables, with the leap months of 1984 (before the solstice) and 2033 (after it).
TEST(Events, lunar_new_year_is_on_its_published_dates) {
  for (const char* day : {"1966-01-21", "1985-02-20", "2000-02-05", "2007-02-18", "2011-02-03", "2012-01-23",
                          "2013-02-10", "2014-01-31", "2015-02-19", "2016-02-08", "2017-01-28", "2018-02-16",
                          "2019-02-05", "2020-01-25", "2021-02-12", "2022-02-01", "2023-01-22", "2024-02-10",
                          "2025-01-29", "2026-02-17", "2027-02-06", "2028-01-26", "2029-02-13", "2030-02-03",
                          "2031-01-23", "2032-02-11", "2033-01-31", "2034-02-19", "2035-02-08"}) {
    const int year = static_cast<int>(std::chrono::year_month_day{date(day)}.year());
    EXPECT_EQ(format_date(lunar_new_year(year)), day);
  }
}

TEST(Events, lunar_new_year_stays_between_21_january_and_21_february) {
  for (int year = 1901; year <= 2099; ++year) {
    const std::chrono::year_month_day day{lunar_new_year(year)};
    const auto from_january = (Date{day} - Date{std::chrono::year{year} / 1 / 1}).count();
    EXPECT_GE(from_january, 20) << year;
    EXPECT_LE(from_january, 51) << year;
  }
}

TEST(Events, fixed_feasts_and_the_days_around_them_are_named) {
  EXPECT_EQ(event_of(date("2023-11-11")), Event::double_11);
  EXPECT_EQ(event_of(date("2023-11-09")), Event::double_11_eve);
  EXPECT_EQ(event_of(date("2023-11-12")), Event::none);
  EXPECT_EQ(event_of(date("2023-12-25")), Event::christmas);
  EXPECT_EQ(event_of(date("2023-12-24")), Event::christmas_season);
  EXPECT_EQ(event_of(date("2023-12-31")), Event::new_year_eve);
  EXPECT_EQ(event_of(date("2024-01-01")), Event::new_year);
  EXPECT_EQ(event_of(date("2024-02-10")), Event::lunar_new_year);
  EXPECT_EQ(event_of(date("2024-02-12")), Event::lunar_new_year);
  EXPECT_EQ(event_of(date("2024-02-03")), Event::lunar_new_year_eve);
  EXPECT_EQ(event_of(date("2024-02-13")), Event::none);
  EXPECT_EQ(event_of(date("2024-03-31")), Event::easter);
  EXPECT_EQ(event_of(date("2024-04-01")), Event::easter_monday);
  EXPECT_EQ(event_of(date("2024-03-25")), Event::easter_week);
  EXPECT_EQ(event_of(date("2024-03-24")), Event::none);
}

TEST(Events, every_event_has_one_name) {
  const auto names = event_names();
  EXPECT_EQ(names.size(), static_cast<std::size_t>(kEvents));
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
}

}  // namespace
}  // namespace shelfcast::data
