#include "data/calendar.h"

#include <cmath>

#include "small_corpus.h"

namespace shelfcast::data {
namespace {

using testing::expect_error;

TEST(Calendar, weekday_month_and_monthday_are_codes_of_their_vocabulary) {
  const Date date = *parse_date("2024-02-29");  // a Thursday
  const auto word = [&](const std::string& name) {
    const FeatureColumn column = calendar_columns(name).front();
    return column.vocabulary.at(static_cast<std::size_t>(calendar_value(column.name, date)) - 1);
  };
  EXPECT_EQ(word("weekday"), "Thu");
  EXPECT_EQ(word("month"), "Feb");
  EXPECT_EQ(word("monthday"), "29");
}

TEST(Calendar, yearday_goes_round_once_a_year_in_leap_years_too) {
  for (const char* year : {"2023", "2024"}) {
    const Date first = *parse_date(std::string(year) + "-01-01");
    const Date end = *parse_date(std::to_string(std::stoi(year) + 1) + "-01-01");
    EXPECT_EQ(calendar_value("calendar.yearday_sin", first), 0.0F);
    EXPECT_EQ(calendar_value("calendar.yearday_cos", first), 1.0F);
    double sum_sin = 0.0, sum_cos = 0.0;
    for (Date date = first; date < end; date += std::chrono::days{1}) {
      const double s = calendar_value("calendar.yearday_sin", date),
                   c = calendar_value("calendar.yearday_cos", date);
      ASSERT_NEAR(s * s + c * c, 1.0, 1e-6);
      sum_sin += s;
      sum_cos += c;
    }
    EXPECT_NEAR(sum_sin, 0.0, 1e-4);  // only whole turns sum to zero
    EXPECT_NEAR(sum_cos, 0.0, 1e-4);
  }
}

TEST(Calendar, unknown_name_is_met_with_the_nearest) {
  expect_error(ErrorKind::input, {"data.calendar", "weekdya", "did you mean \"weekday\""},
               [] { calendar_columns("weekdya"); });
}

}  // namespace
}  // namespace shelfcast::data
