#include "data/ingest/arrow_convert.h"

#include <arrow/api.h>
#include <arrow/io/api.h>
#include <parquet/arrow/writer.h>

#include "data/ingest/long_table.h"
#include "tests/ingest/tables.h"

namespace shelfcast::data {
namespace {

using namespace shelfcast::testing;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// An array of `Builder`'s type.
template <typename Builder, typename Value>
std::shared_ptr<arrow::Array> array_of(const std::vector<Value>& values) {
  Builder builder;
  EXPECT_TRUE(builder.AppendValues(values).ok());
  return builder.Finish().ValueOrDie();
}

std::vector<std::string> texts(const arrow::Array& array) {
  StringPool pool;
  std::vector<std::int32_t> codes;
  convert_text(array, pool, codes);
  std::vector<std::string> result;
  for (const auto code : codes)
    result.push_back(code < 0 ? "" : pool.strings()[static_cast<std::size_t>(code)]);
  return result;
}

std::filesystem::path write_parquet_of(const std::filesystem::path& file, const arrow::FieldVector& fields,
                                       const arrow::ArrayVector& columns) {
  const auto table = arrow::Table::Make(arrow::schema(fields), columns);
  const auto out = arrow::io::FileOutputStream::Open(file.string()).ValueOrDie();
  // With Arrow's own schema, as pandas writes it: it holds the time zones.
  const auto schema = parquet::ArrowWriterProperties::Builder().store_schema()->build();
  EXPECT_TRUE(parquet::arrow::WriteTable(*table, arrow::default_memory_pool(), out, 1000,
                                         parquet::default_writer_properties(), schema)
                  .ok());
  return file;
}

TEST(ArrowConvert, integers_above_2_to_the_53_keep_their_digits) {
  EXPECT_THAT(texts(*array_of<arrow::Int64Builder, std::int64_t>(
                  {100000000000000001, 100000000000000002, 9007199254740992, 9007199254740993,
                   std::numeric_limits<std::int64_t>::min(), -7, 100000000000000001})),
              ElementsAre("100000000000000001", "100000000000000002", "9007199254740992", "9007199254740993",
                          "-9223372036854775808", "-7", "100000000000000001"));
  EXPECT_THAT(texts(*array_of<arrow::UInt64Builder, std::uint64_t>(
                  {18446744073709551614U, 18446744073709551615U, 0})),
              ElementsAre("18446744073709551614", "18446744073709551615", "0"));
  EXPECT_THAT(texts(*array_of<arrow::Int8Builder, std::int8_t>({65, -1})), ElementsAre("65", "-1"));
}

TEST(ArrowConvert, floats_that_are_whole_numbers_keep_their_digits) {
  EXPECT_THAT(texts(*array_of<arrow::DoubleBuilder, double>(
                  {1e15, 1e17, 12, 0.1, -0.0, 0, std::numeric_limits<double>::quiet_NaN()})),
              ElementsAre("1000000000000000", "100000000000000000", "12", "0.1", "0", "0", ""));
  EXPECT_THAT(texts(*array_of<arrow::FloatBuilder, float>({0.1F, 17})), ElementsAre("0.1", "17"));
}

TEST(ArrowConvert, texts_lose_the_white_space_at_their_ends) {
  const auto plain = array_of<arrow::StringBuilder, std::string>({"a", "a ", "\t a\r", "a b", "  "});
  EXPECT_THAT(texts(*plain), ElementsAre("a", "a", "a", "a b", ""));
  const auto indices = array_of<arrow::Int32Builder, std::int32_t>({1, 0, 4});
  const auto coded =
      arrow::DictionaryArray::FromArrays(arrow::dictionary(arrow::int32(), arrow::utf8()), indices, plain);
  EXPECT_THAT(texts(**coded), ElementsAre("a", "a", ""));
}

TEST(ArrowConvert, large_integer_keys_are_series_of_their_own) {
  const TemporaryFolder folder;
  const auto file =
      write_parquet_of(folder.path() / "t.parquet",
                       {arrow::field("s", arrow::int64()), arrow::field("date", arrow::utf8()),
                        arrow::field("v", arrow::int64())},
                       {array_of<arrow::Int64Builder, std::int64_t>({100000000000000001, 100000000000000002}),
                        array_of<arrow::StringBuilder, std::string>({"2024-01-01", "2024-01-01"}),
                        array_of<arrow::Int64Builder, std::int64_t>({1, 2})});
  LongMap map;
  map.series = {"s"};
  map.date = "date";
  map.target = "v";
  map.duplicates = Duplicates::sum;
  const Panel panel = read_long_table(file, map);
  EXPECT_THAT(panel.table.names, ElementsAre("100000000000000001", "100000000000000002"));
  EXPECT_THAT(all_rows(panel).demand, same_floats({1, 2}));
}

std::shared_ptr<arrow::Array> instants(const std::vector<std::int64_t>& values, arrow::TimeUnit::type unit,
                                       const std::string& zone) {
  arrow::TimestampBuilder builder(arrow::timestamp(unit, zone), arrow::default_memory_pool());
  EXPECT_TRUE(builder.AppendValues(values).ok());
  return builder.Finish().ValueOrDie();
}

std::vector<std::string> dates(const arrow::Array& array) {
  std::vector<std::int32_t> days;
  convert_dates(array, DateParser(), days);
  std::vector<std::string> result;
  for (const auto day : days) result.push_back(format_date(Date{std::chrono::days{day}}));
  return result;
}

constexpr std::int64_t kHour = 3600;
constexpr std::int64_t kNewYear = 1'704'067'200;  // 2024-01-01T00:00:00Z

TEST(ArrowConvert, a_time_belongs_to_the_day_of_its_zone) {
  using Unit = arrow::TimeUnit;
  const auto in = [](const char* zone, std::int64_t seconds) {
    return dates(*instants({seconds}, Unit::SECOND, zone)).front();
  };
  EXPECT_EQ(in("Europe/Berlin", kNewYear - kHour), "2024-01-01");      // midnight there
  EXPECT_EQ(in("Europe/Berlin", kNewYear - kHour - 1), "2023-12-31");  // a second before
  EXPECT_EQ(in("America/New_York", kNewYear), "2023-12-31");
  EXPECT_EQ(in("+05:30", kNewYear - 5 * kHour - 1800), "2024-01-01");
  EXPECT_EQ(in("UTC", kNewYear - 1), "2023-12-31");
  EXPECT_EQ(in("", kNewYear - 1), "2023-12-31");
  // In summer Berlin is two hours ahead: 2024-06-30T22:00Z is the first of July.
  EXPECT_THAT(dates(*instants({1'719'784'800'000}, Unit::MILLI, "Europe/Berlin")), ElementsAre("2024-07-01"));
  EXPECT_THAT(texts(*instants({(kNewYear - kHour) * 1'000'000}, Unit::MICRO, "Europe/Berlin")),
              ElementsAre("2024-01-01"));
  EXPECT_THAT(message_of([] { dates(*instants({0}, Unit::SECOND, "Nowhere/City")); }),
              AllOf(HasSubstr("Nowhere/City"), HasSubstr("write the column as dates")));
}

TEST(ArrowConvert, parquet_keeps_the_zone_of_its_times) {
  const TemporaryFolder folder;
  const auto type = arrow::timestamp(arrow::TimeUnit::NANO, "Europe/Berlin");
  std::vector<std::int64_t> midnights;
  for (std::int64_t day = 0; day < 3; ++day)
    midnights.push_back((kNewYear + (24 * day - 1) * kHour) * 1'000'000'000);
  const auto file = write_parquet_of(
      folder.path() / "t.parquet",
      {arrow::field("s", arrow::utf8()), arrow::field("date", type), arrow::field("v", arrow::int64())},
      {array_of<arrow::StringBuilder, std::string>({"a", "a", "a"}),
       instants(midnights, arrow::TimeUnit::NANO, "Europe/Berlin"),
       array_of<arrow::Int64Builder, std::int64_t>({1, 2, 3})});
  LongMap map;
  map.series = {"s"};
  map.date = "date";
  map.target = "v";
  const Panel panel = read_long_table(file, map);
  EXPECT_EQ(format_date(panel.info.axis.start), "2024-01-01");
  EXPECT_EQ(panel.info.steps, 3);
}

}  // namespace
}  // namespace shelfcast::data
