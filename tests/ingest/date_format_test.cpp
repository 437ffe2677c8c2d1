#include "data/ingest/date_format.h"

#include "tests/ingest/tables.h"

namespace shelfcast::data {
namespace {

using namespace shelfcast::testing;
using ::testing::HasSubstr;

std::string parsed(const std::string& format, const std::string& text) {
  const auto date = DateParser(format)(text);
  return date ? format_date(*date) : "none";
}

TEST(DateFormat, reads_common_formats) {
  EXPECT_EQ(parsed("", " 2024-02-29 "), "2024-02-29");
  EXPECT_EQ(parsed("", "2024-02-29T23:59:59"), "2024-02-29");
  EXPECT_EQ(parsed("%d.%m.%Y", "1.2.2024"), "2024-02-01");
  EXPECT_EQ(parsed("%m/%d/%Y %H:%M", "12/1/2010 8:26"), "2010-12-01");
  EXPECT_EQ(parsed("%d-%b-%y", "09-DEC-11"), "2011-12-09");
  EXPECT_EQ(parsed("%Y年%m月%d日", "2024年11月11日"), "2024-11-11");
}

TEST(DateFormat, refuses_what_does_not_fit) {
  EXPECT_EQ(parsed("%d.%m.%Y", "30.02.2024"), "none");
  EXPECT_EQ(parsed("%d.%m.%Y", "01/02/2024"), "none");
  EXPECT_EQ(parsed("%d.%m.%Y", "1.2.2024 "), "2024-02-01");
  EXPECT_EQ(parsed("%d.%m.%Y", "1.2.2024x"), "none");
  EXPECT_EQ(parsed("%d.%m.%Y %H:%M", "1.2.2024 25:00"), "none");
  EXPECT_EQ(parsed("%d.%m.%Y", ""), "none");
}

TEST(DateFormat, an_iso_date_may_have_a_time_of_day) {
  for (const char* text :
       {"2024-01-31", "20240131", "20240131 10:00", "20240131T100000", "2024-01-31 8:26", "2024-01-31T10",
        "2024-01-31 23:59:60", "2024-01-31 00:00:00.000001", "2024-01-31T20:00:00-05:00",
        "2024-01-31T20:00:00.5+0100", "2024-01-31 20:00:00 +01:00", "2024-01-31T20:00Z",
        "2024-01-31 00:00:00 UTC", "2024-01-31 10:00:00 PM"}) {
    EXPECT_EQ(parsed("", text), "2024-01-31") << text;
  }
}

TEST(DateFormat, what_follows_an_iso_date_has_to_be_a_time_of_day) {
  for (const char* text :
       {"2024-01-31 99:99 rubbish", "2024-01-31 24:00", "2024-01-31 10:60", "2024-01-31 10:00:61",
        "2024-01-31 10:00 rubbish", "2024-01-31 10:", "2024-01-31 10:0", "2024-01-31T10:00:00.",
        "2024-01-31T10:00+", "2024-01-31T10:00+01:00x", "2024-01-31x10:00", "202401311000", "2024-01-3"}) {
    EXPECT_EQ(parsed("", text), "none") << text;
  }
}

TEST(DateFormat, a_four_digit_year_has_four_digits) {
  EXPECT_EQ(parsed("%d.%m.%Y", "30.01.24"), "none");
  EXPECT_EQ(parsed("%Y/%m/%d", "24/01/30"), "none");
  EXPECT_EQ(parsed("%d.%m.%Y", "30.01.20245"), "none");
  EXPECT_EQ(parsed("%d.%m.%y", "30.01.24"), "2024-01-30");
}

TEST(DateFormat, names_a_format_that_is_no_date) {
  EXPECT_THAT(message_of([] { DateParser("%Y-%q"); }), HasSubstr("\"%q\""));
  EXPECT_THAT(message_of([] { DateParser("%Y-%m"); }), HasSubstr("does not name a day"));
}

}  // namespace
}  // namespace shelfcast::data
