#include "data/ingest/sales_table.h"

#include "tests/ingest/tables.h"

namespace shelfcast::data {
namespace {

using namespace shelfcast::testing;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Sales : public ::testing::Test {
 protected:
  SalesTable read(const std::string& text, std::optional<Frequency> frequency = {}) {
    return read_sales_table(write_text(folder_ / "sales.csv", text), frequency);
  }
  std::string message(const std::string& text, std::optional<Frequency> frequency = {}) {
    return message_of([&] { read(text, frequency); });
  }
  TemporaryFolder folder_;
};

TEST_F(Sales, a_long_table_has_values_covariates_and_a_known_future) {
  const SalesTable table = read(
      "series,date,value,price,event\n"
      "店/🍎,2024-01-01,1,2.5,\n"
      "店/🍎,2024-01-02,,2.5,春节\n"
      "b,2024-01-01,3,,\n"
      "b,2024-01-02,4,9,\n"
      "店/🍎,2024-01-03,,1.5,Easter\n");
  EXPECT_THAT(table.series, ElementsAre("店/🍎", "b"));
  EXPECT_EQ(format_date(table.axis.start), "2024-01-01");
  EXPECT_EQ(table.axis.frequency, Frequency::daily);
  EXPECT_EQ(table.steps, 3);
  EXPECT_EQ(table.demand_end, 2);
  EXPECT_THAT(table.demand, same_floats({1, kNan, kNan, 3, 4, kNan}));
  ASSERT_EQ(table.covariates.size(), 2U);
  EXPECT_EQ(table.covariates[0].kind(), Kind::numeric);
  EXPECT_THAT(table.covariates[0].vocabulary, ElementsAre("2.5", "9", "1.5"));
  EXPECT_THAT(table.covariates[0].numbers, same_floats({2.5, 9, 1.5}));
  EXPECT_THAT(table.covariates[0].codes, ElementsAre(0, 0, 2, -1, 1, -1));
  EXPECT_EQ(table.covariates[1].kind(), Kind::categorical);
  EXPECT_THAT(table.covariates[1].vocabulary, ElementsAre("春节", "Easter"));
  EXPECT_THAT(table.covariates[1].codes, ElementsAre(-1, 0, 1, -1, -1, -1));
}

TEST_F(Sales, a_wide_table_has_one_row_a_series_and_one_column_a_date) {
  const SalesTable table = read("store,product,2024-01-08,2024-01-01,2024-01-22\n1,a,2,1,4\n1,b,,0,\n");
  EXPECT_THAT(table.series, ElementsAre("1/a", "1/b"));
  EXPECT_EQ(table.axis.frequency, Frequency::weekly);
  EXPECT_EQ(table.steps, 4);
  EXPECT_THAT(table.demand, same_floats({1, 2, kNan, 4, 0, kNan, kNan, kNan}));
}

TEST_F(Sales, the_frequency_is_read_off_the_dates) {
  EXPECT_EQ(read("series,date,value\na,2024-01-15,1\na,2024-02-15,2\na,2024-03-15,3\n").axis.frequency,
            Frequency::monthly);
  EXPECT_EQ(read("series,date,value\na,2024-01-01,1\na,2024-01-02,2\n").axis.frequency, Frequency::daily);
  EXPECT_EQ(read("series,date,value\na,2024-01-01,1\n").steps, 1);
  EXPECT_EQ(read("series,date,value\na,2024-01-01,1\na,2024-01-08,2\n").axis.frequency, Frequency::weekly);
}

TEST_F(Sales, dates_of_another_or_no_frequency_are_an_error) {
  EXPECT_THAT(message("series,date,value\na,2024-01-01,1\na,2024-01-09,2\n", Frequency::weekly),
              AllOf(HasSubstr("2024-01-09"), HasSubstr("weekly"), HasSubstr("irregular frequency")));
  EXPECT_THAT(
      message("series,date,value\na,2024-01-01,1\na,2024-01-08,2\na,2024-01-15,2\n", Frequency::daily),
      AllOf(HasSubstr("only 3 of the 15 daily dates"), HasSubstr("irregular frequency")));
  EXPECT_THAT(message("series,date,value\na,2024-01-01,1\na,2024-01-05,2\na,2024-02-11,2\n"),
              HasSubstr("irregular frequency"));
}

TEST_F(Sales, infinite_numbers_are_refused_with_row_and_column) {
  for (const char* infinite : {"inf", "-Infinity", "1e300"}) {
    const std::string cell = infinite;
    EXPECT_THAT(message("series,date,value\na,2024-01-01,1\na,2024-01-02," + cell + "\n"),
                AllOf(HasSubstr("row 2 of"), HasSubstr("sales.csv"), HasSubstr("\"value\" is infinite")));
    EXPECT_THAT(message("series,date,value,price\na,2024-01-01,1,2.5\nb,2024-01-01,1," + cell + "\n"),
                AllOf(HasSubstr("row 2 of"), HasSubstr("sales.csv"), HasSubstr("\"price\" is infinite")));
    EXPECT_THAT(
        message("store,2024-01-01,2024-01-02\na,1,2\nb,3," + cell + "\n"),
        AllOf(HasSubstr("row 2 of"), HasSubstr("sales.csv"), HasSubstr("\"2024-01-02\" is infinite")));
  }
  const SalesTable table = read("series,date,value,event\na,2024-01-01,nan,inf\na,2024-01-02,1,festival\n");
  EXPECT_THAT(table.demand, same_floats({kNan, 1}));
  EXPECT_EQ(table.covariates[0].kind(), Kind::categorical);
}

TEST_F(Sales, bad_tables_are_named_with_their_row) {
  EXPECT_THAT(message("series,date,value\na,2024-01-01,1\na,01/02/2024,2\n"),
              AllOf(HasSubstr("row 2"), HasSubstr("\"01/02/2024\"")));
  EXPECT_THAT(message("series,date,value\na,2024-01-01,1\na,2024-01-02,two\n"),
              AllOf(HasSubstr("row 2"), HasSubstr("\"two\"")));
  EXPECT_THAT(message("series,date,value\na,2024-01-01,1\nb,2024-01-01,1\na,2024-01-01,2\n"),
              AllOf(HasSubstr("two rows on 2024-01-01"), HasSubstr("row 1"), HasSubstr("row 3")));
  EXPECT_THAT(message("serie,date,value\na,2024-01-01,1\n"),
              AllOf(HasSubstr("no column \"series\""), HasSubstr("did you mean \"serie\"")));
  EXPECT_THAT(message("series,date,value\n"), HasSubstr("holds no rows"));
  EXPECT_THAT(message("series,date,value\na,2024-01-01,\n"), HasSubstr("holds no value"));
  EXPECT_THAT(message("store,2024-01-01\na,1\nb,2\na,3\n"),
              AllOf(HasSubstr("series a stands twice"), HasSubstr("row 1"), HasSubstr("row 3")));
  EXPECT_THAT(message("store,2024-01-01,20240101\na,1,2\n"), HasSubstr("two columns of the same date"));
  EXPECT_THAT(message("2024-01-01,2024-01-02\n1,2\n"), HasSubstr("no column names the series"));
}

}  // namespace
}  // namespace shelfcast::data
