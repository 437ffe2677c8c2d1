#include "base/dates.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace shelfcast {
namespace {

Date date(const char* text) { return parse_date(text).value(); }

TEST(Dates, accepts_dashes_compact_form_and_a_dropped_time_of_day) {
  EXPECT_EQ(format_date(date("2016-05-22")), "2016-05-22");
  EXPECT_EQ(date("20160522"), date("2016-05-22"));
  EXPECT_EQ(date("2016-05-22T13:00:00"), date("2016-05-22"));
  EXPECT_EQ(date("2016-05-22 13:00"), date("2016-05-22"));
}

TEST(Dates, refuses_what_is_not_in_the_calendar) {
  for (const char* text :
       {"", "2016", "2016-5-2", "2016-13-01", "2016-00-10", "2016-04-31", "2016-05-00", "abcdefgh",
        "2016/05/22", "2016-05-22x", "2016-05-2 ", "-016-05-22", "22.05.2016", "2016-05-22T"})
    EXPECT_FALSE(parse_date(text)) << text;
}

TEST(Dates, knows_leap_years) {
  EXPECT_TRUE(parse_date("2016-02-29"));
  EXPECT_TRUE(parse_date("2000-02-29"));
  EXPECT_FALSE(parse_date("1900-02-29"));
  EXPECT_FALSE(parse_date("2015-02-29"));
  EXPECT_EQ((date("2016-03-01") - date("2016-02-28")).count(), 2);
}

TEST(Dates, frequencies_have_one_letter_names) {
  for (const Frequency f : {Frequency::daily, Frequency::weekly, Frequency::monthly})
    EXPECT_EQ(parse_frequency(to_string(f)), f);
  EXPECT_THROW(parse_frequency("hourly"), Error);
}

TEST(TimeAxis, daily_steps_count_days) {
  const TimeAxis axis{date("2015-12-30"), Frequency::daily};
  EXPECT_EQ(axis.date_of(3), date("2016-01-02"));
  EXPECT_EQ(axis.step_of(date("2015-12-29")), -1);
}

TEST(TimeAxis, weekly_steps_begin_on_the_weekday_of_the_start) {
  const TimeAxis axis{date("2016-02-22"), Frequency::weekly};
  EXPECT_EQ(axis.date_of(1), date("2016-02-29"));
  EXPECT_EQ(axis.step_of(date("2016-03-07")), 2);
  EXPECT_FALSE(axis.step_of(date("2016-03-08")));
  EXPECT_EQ(axis.step_at_or_before(date("2016-03-13")), 2);
  EXPECT_EQ(axis.step_at_or_before(date("2016-02-21")), -1);
  EXPECT_EQ(axis.step_at_or_before(date("2016-02-15")), -1);
  EXPECT_EQ(axis.step_at_or_before(date("2016-02-14")), -2);
}

TEST(TimeAxis, monthly_steps_are_cut_to_the_end_of_short_months) {
  const TimeAxis axis{date("2015-12-31"), Frequency::monthly};
  EXPECT_EQ(axis.date_of(1), date("2016-01-31"));
  EXPECT_EQ(axis.date_of(2), date("2016-02-29"));
  EXPECT_EQ(axis.date_of(3), date("2016-03-31"));
  EXPECT_EQ(axis.date_of(14), date("2017-02-28"));
  EXPECT_EQ(axis.date_of(-1), date("2015-11-30"));
  EXPECT_EQ(axis.step_of(date("2016-02-29")), 2);
  EXPECT_FALSE(axis.step_of(date("2016-02-28")));
  EXPECT_EQ(axis.step_at_or_before(date("2016-03-30")), 2);
}

TEST(TimeAxis, step_at_or_before_inverts_date_of_on_every_day) {
  for (const Frequency frequency : {Frequency::daily, Frequency::weekly, Frequency::monthly}) {
    const TimeAxis axis{date("2015-08-31"), frequency};
    for (Date day = date("2014-01-01"); day < date("2018-01-01"); day += std::chrono::days(1)) {
      const std::int64_t step = axis.step_at_or_before(day);
      ASSERT_LE(axis.date_of(step), day);
      ASSERT_GT(axis.date_of(step + 1), day);
      ASSERT_EQ(axis.step_of(day).has_value(), axis.date_of(step) == day);
    }
  }
}

}  // namespace
}  // namespace shelfcast
