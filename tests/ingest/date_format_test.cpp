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

TEST(DateFormat, names_a_format_that_is_no_date) {
  EXPECT_THAT(message_of([] { DateParser("%Y-%q"); }), HasSubstr("\"%q\""));
  EXPECT_THAT(message_of([] { DateParser("%Y-%m"); }), HasSubstr("does not name a day"));
}

}  // namespace
}  // namespace shelfcast::data
