#include "data/ingest/long_rows.h"

#include "tests/ingest/tables.h"

namespace shelfcast::data {
namespace {

using namespace shelfcast::testing;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

LongMap plain_map() {
  LongMap map;
  map.series = {"s"};
  map.date = "date";
  map.target = "units";
  return map;
}

class LongRowsOf : public ::testing::Test {
 protected:
  LongRows read(const std::string& text, const LongMap& map = plain_map()) {
    return read_long_rows(write_text(folder_ / "t.csv", text), map);
  }
  // What reading warns of.
  std::string warning(const std::string& text, const LongMap& map = plain_map()) {
    ::testing::internal::CaptureStderr();
    read(text, map);
    return ::testing::internal::GetCapturedStderr();
  }
  TemporaryFolder folder_;
};

TEST_F(LongRowsOf, a_first_or_last_date_far_from_all_others_is_named) {
  const std::string good = "s,date,units\na,2024-01-01,1\na,2024-01-02,1\n";
  EXPECT_THAT(warning(good + "a,2042-01-03,1\na,2024-01-04,1\n"),
              AllOf(HasSubstr("row 3 of"), HasSubstr("2042-01-03 is 6574 steps")));
  EXPECT_THAT(warning(good + "a,0024-01-03,1\n"), AllOf(HasSubstr("row 3 of"), HasSubstr("0024-01-03")));
  EXPECT_EQ(warning(good + "a,2025-02-05,1\n"), "");  // 400 days on
  EXPECT_THAT(warning(good + "a,2025-02-06,1\n"), HasSubstr("2025-02-06 is 401 steps"));
  EXPECT_EQ(warning("s,date,units\na,2024-01-01,1\n"), "");
}

TEST_F(LongRowsOf, far_is_counted_in_the_tables_own_steps) {
  LongMap map = plain_map();
  map.frequency = Frequency::monthly;
  EXPECT_EQ(warning("s,date,units\na,2024-01-01,1\na,2026-01-01,1\n", map), "");
  EXPECT_THAT(warning("s,date,units\na,2024-01-01,1\na,2204-01-01,1\n", map), HasSubstr("2160 steps (M)"));
}

TEST_F(LongRowsOf, keys_that_differ_by_white_space_are_one_series) {
  const LongRows rows = read("s,date,units\na,2024-01-01,1\n a ,2024-01-02,2\n");
  EXPECT_THAT(rows.names, ElementsAre("a"));
  EXPECT_THAT(rows.series, ElementsAre(0, 0));
}

TEST_F(LongRowsOf, rows_without_a_value_can_be_left_out_whatever_the_columns_type) {
  const std::string text =
      "s,date,units,other\na,2024-01-01,1,x\na,,2,x\n,2024-01-03,3,x\na,2024-01-04,,x\na,2024-01-05,5,\n";
  LongMap map = plain_map();
  EXPECT_THAT(message_of([&] { read(text, map); }),
              AllOf(HasSubstr("row 2 of"), HasSubstr("no date"), HasSubstr("keep_rows: {date: present}")));
  using Rule = LongMap::RowFilter::Rule;
  for (const char* column : {"s", "date", "units", "other"})
    map.keep_rows.push_back({Rule::present, column, ""});
  const LongRows rows = read(text, map);
  EXPECT_THAT(rows.target, ElementsAre(1));
  EXPECT_EQ(rows.dropped, 4);
}

}  // namespace
}  // namespace shelfcast::data
