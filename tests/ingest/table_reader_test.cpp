#include "data/ingest/table_reader.h"

#include <cmath>

#include "tests/ingest/compressed_tables.h"
#include "tests/ingest/tables.h"

namespace shelfcast::data {
namespace {

using namespace shelfcast::testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The whole of a table.
struct Read {
  std::vector<TableColumn> columns;
  std::vector<std::vector<std::string>> dictionaries;

  std::vector<std::string> texts(std::size_t column) const {
    std::vector<std::string> result;
    for (const auto code : columns[column].codes)
      result.push_back(code < 0 ? "" : dictionaries[column][static_cast<std::size_t>(code)]);
    return result;
  }
};

template <typename T>
void append(std::vector<T>& to, const std::vector<T>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

Read read_all(const std::filesystem::path& path, const std::vector<ColumnRequest>& requests) {
  TableReader reader(table_files(path), requests);
  Read result;
  result.columns.resize(requests.size());
  TableBatch batch;
  while (reader.next(batch)) {
    for (std::size_t i = 0; i < requests.size(); ++i) {
      append(result.columns[i].codes, batch.columns[i].codes);
      append(result.columns[i].numbers, batch.columns[i].numbers);
      append(result.columns[i].days, batch.columns[i].days);
    }
  }
  for (std::size_t i = 0; i < requests.size(); ++i) result.dictionaries.push_back(reader.dictionary(i));
  return result;
}

std::int32_t day(const char* text) {
  return static_cast<std::int32_t>(parse_date(text)->time_since_epoch().count());
}

const std::vector<ColumnRequest> kRequests = {
    {"name"}, {"when", ColumnType::date}, {"how_many", ColumnType::number}};

TEST(TableReader, reads_text_dates_and_numbers_and_their_missing_cells) {
  const TemporaryFolder folder;
  const auto file = write_text(folder.path() / "t.csv",
                               "other,name,when,how_many\n"
                               "x,apple,2024-02-29,1.5\n"
                               "x,,,\n"
                               "x,NA,20240301,NA\n"
                               "x,apple,2024-03-02 13:45:00,-3\n");
  const Read read = read_all(file, kRequests);
  EXPECT_THAT(read.texts(0), ElementsAre("apple", "", "NA", "apple"));  // NA is a name like any other
  EXPECT_THAT(read.columns[1].days,
              ElementsAre(day("2024-02-29"), kMissingDay, day("2024-03-01"), day("2024-03-02")));
  EXPECT_EQ(read.columns[2].numbers[0], 1.5);
  EXPECT_TRUE(std::isnan(read.columns[2].numbers[1]));
  EXPECT_TRUE(std::isnan(read.columns[2].numbers[2]));
  EXPECT_EQ(read.columns[2].numbers[3], -3);
}

TEST(TableReader, keeps_unicode_quotes_line_breaks_and_leading_zeros) {
  const TemporaryFolder folder;
  const auto file = write_text(folder.path() / "t.csv",
                               "\xEF\xBB\xBFname;when;how_many\r\n"
                               "\"北京; 店 🍎\";2024-01-01;1\r\n"
                               "\"two\nlines, \"\"quoted\"\"\";2024-01-02;2\r\n"
                               "007;2024-01-03;3\r\n");
  EXPECT_THAT(read_all(file, kRequests).texts(0), ElementsAre("北京; 店 🍎", "two\nlines, \"quoted\"", "007"));
}

TEST(TableReader, reads_compressed_csv_and_parquet_alike) {
  const TemporaryFolder folder;
  std::string text = "name,when,how_many\n";
  for (int i = 0; i < 5000; ++i) text += fmt::format("item {},2024-01-{:02},{}\n", i % 7, i % 28 + 1, i);
  const Read plain = read_all(write_text(folder.path() / "plain.csv", text), kRequests);
  ASSERT_EQ(plain.columns[2].numbers.size(), 5000U);
  for (const auto& file : {write_compressed(folder.path() / "t.csv.gz", text),
                           write_compressed(folder.path() / "t.csv.zst", text),
                           write_parquet(folder.path() / "snappy.parquet", text, Packing::snappy),
                           write_parquet(folder.path() / "zstd.parquet", text, Packing::zstd),
                           write_parquet(folder.path() / "gzip.parquet", text, Packing::gzip)}) {
    const Read other = read_all(file, kRequests);
    EXPECT_EQ(other.texts(0), plain.texts(0)) << file;
    EXPECT_EQ(other.columns[1].days, plain.columns[1].days) << file;
    EXPECT_EQ(other.columns[2].numbers, plain.columns[2].numbers) << file;
  }
}

TEST(TableReader, reads_numbers_of_parquet_as_names) {
  const TemporaryFolder folder;
  const auto file = write_parquet(folder.path() / "t.parquet", "store,n\n12,1\n7,2\n12,3\n", Packing::snappy);
  EXPECT_THAT(read_all(file, {{"store"}}).texts(0), ElementsAre("12", "7", "12"));
}

TEST(TableReader, reads_a_folder_in_order_of_names_and_places_rows_in_their_file) {
  const TemporaryFolder folder;
  write_text(folder.path() / "b.csv", "how_many\n3\n4\n");
  write_text(folder.path() / "a.csv", "n,how_many\n,1\n,2\n");
  write_text(folder.path() / ".hidden.csv", "how_many\n9\n");
  write_text(folder.path() / "notes.txt", "no table");
  const std::vector<ColumnRequest> requests = {{"how_many", ColumnType::number}};
  EXPECT_THAT(read_all(folder.path(), requests).columns[0].numbers, ElementsAre(1, 2, 3, 4));

  TableReader reader(table_files(folder.path()), requests);
  TableBatch batch;
  while (reader.next(batch)) {
  }
  EXPECT_THAT(reader.place(1), HasSubstr("row 2 of " + (folder.path() / "a.csv").string()));
  EXPECT_THAT(reader.place(2), HasSubstr("row 1 of " + (folder.path() / "b.csv").string()));
}

TEST(TableReader, endings_of_names_count_in_any_case) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder.path() / "in");
  write_text(folder.path() / "in/a.csv", "how_many\n1\n");
  write_text(folder.path() / "in/b.CSV", "how_many\n2\n");
  for (const char* name : {"c.csv.gz", "d.csv.zst"})
    write_compressed(folder.path() / name, fmt::format("how_many\n{}\n", name[0] - 'a' + 1));
  write_parquet(folder.path() / "e.parquet", "how_many\n5\n", Packing::snappy);
  std::filesystem::rename(folder.path() / "c.csv.gz", folder.path() / "in/c.Csv.GZ");
  std::filesystem::rename(folder.path() / "d.csv.zst", folder.path() / "in/d.CSV.ZST");
  std::filesystem::rename(folder.path() / "e.parquet", folder.path() / "in/e.Parquet");
  EXPECT_THAT(read_all(folder.path() / "in", {{"how_many", ColumnType::number}}).columns[0].numbers,
              ElementsAre(1, 2, 3, 4, 5));
}

TEST(TableReader, warns_of_what_a_folder_holds_besides_its_tables) {
  const TemporaryFolder folder;
  const auto warning = [&] {
    ::testing::internal::CaptureStderr();
    table_files(folder.path());
    return ::testing::internal::GetCapturedStderr();
  };
  write_text(folder.path() / "a.csv", "n\n1\n");
  write_text(folder.path() / ".hidden", "");
  EXPECT_EQ(warning(), "");
  std::filesystem::create_directory(folder.path() / "month=1");
  write_text(folder.path() / "more.xlsx", "");
  EXPECT_THAT(warning(),
              AllOf(HasSubstr(folder.path().string()), HasSubstr("not read: month=1/, more.xlsx (")));
  for (int month = 2; month <= 9; ++month)
    std::filesystem::create_directory(folder.path() / fmt::format("month={}", month));
  EXPECT_THAT(warning(), HasSubstr("month=5/ and 5 more"));
  std::filesystem::remove(folder.path() / "a.csv");
  EXPECT_THAT(message_of([&] { table_files(folder.path()); }),
              AllOf(HasSubstr("holds no table"), HasSubstr("month=1/"), HasSubstr("in the folder itself")));
}

TEST(TableReader, names_the_row_of_a_cell_that_does_not_parse) {
  const TemporaryFolder folder;
  std::string text = "name,when,how_many\n";
  for (int i = 0; i < 300'000; ++i) text += "some apple,2024-01-01,12\n";  // several blocks
  const auto number = write_text(folder.path() / "number.csv",
                                 text + "pear,2024-01-01,1 dozen\n" + text.substr(text.find('\n') + 1));
  EXPECT_THAT(message_of([&] { read_all(number, kRequests); }),
              AllOf(HasSubstr("row 300001 of " + number.string()), HasSubstr("\"1 dozen\""),
                    HasSubstr("\"how_many\""), HasSubstr("number")));
  const auto date = write_text(folder.path() / "date.csv", text + "pear,2024-02-30,1\n");
  EXPECT_THAT(message_of([&] { read_all(date, kRequests); }),
              AllOf(HasSubstr("row 300001 of " + date.string()), HasSubstr("\"2024-02-30\""),
                    HasSubstr("YYYY-MM-DD")));
}

TEST(TableReader, reads_true_and_false_as_one_and_zero) {
  const TemporaryFolder folder;
  const auto file = write_text(folder.path() / "t.csv", "how_many\nTrue\nfalse\n3\n");
  EXPECT_THAT(read_all(file, {{"how_many", ColumnType::number}}).columns[0].numbers, ElementsAre(1, 0, 3));
}

TEST(TableReader, names_the_nearest_column_when_one_is_missing) {
  const TemporaryFolder folder;
  const auto file = write_text(folder.path() / "t.csv", "name,when,how_mny\na,2024-01-01,1\n");
  EXPECT_THAT(message_of([&] { read_all(file, kRequests); }),
              AllOf(HasSubstr(file.string()), HasSubstr("no column \"how_many\""),
                    HasSubstr("did you mean \"how_mny\"")));
}

TEST(TableReader, refuses_a_column_name_that_stands_twice) {
  const TemporaryFolder folder;
  const auto file = write_text(folder.path() / "t.csv", "name,name\na,b\n");
  EXPECT_THAT(message_of([&] { read_all(file, {{"name"}}); }), HasSubstr("2 columns named \"name\""));
}

TEST(TableReader, says_that_a_table_is_empty) {
  const TemporaryFolder folder;
  const auto nothing = write_text(folder.path() / "nothing.csv", "");
  EXPECT_THAT(message_of([&] { read_all(nothing, kRequests); }), HasSubstr("nothing.csv is empty"));
  for (const char* header : {"name,when,how_many\n", "name,when,how_many"}) {
    const auto file = write_text(folder.path() / "header.csv", header);
    EXPECT_THAT(message_of([&] { read_all(file, kRequests); }), HasSubstr("holds no rows"));
  }
  const auto parquet = write_parquet(folder.path() / "t.parquet", "name,n\nx,1\n", Packing::snappy, 0);
  EXPECT_THAT(message_of([&] { read_all(parquet, {{"name"}}); }), HasSubstr("holds no rows"));
}

TEST(TableReader, names_the_row_with_a_cell_too_many) {
  const TemporaryFolder folder;
  const auto file =
      write_text(folder.path() / "t.csv", "name,when,how_many\na,2024-01-01,1\nb,2024-01-01,1,5\n");
  EXPECT_THAT(message_of([&] { read_all(file, kRequests); }),
              AllOf(HasSubstr("row 2 of " + file.string()), HasSubstr("4 cells where 3 are expected")));
}

TEST(TableReader, says_what_a_missing_foreign_or_cut_file_is) {
  const TemporaryFolder folder;
  EXPECT_THAT(message_of([&] { read_all(folder.path() / "absent.csv", kRequests); }),
              HasSubstr("absent.csv does not exist"));
  EXPECT_THAT(message_of([&] { read_all(write_text(folder.path() / "t.xlsx", "PK"), kRequests); }),
              AllOf(HasSubstr("t.xlsx is not a table"), HasSubstr(".parquet")));
  EXPECT_THAT(message_of([&] { read_all(write_text(folder.path() / "t.parquet", "no parquet"), kRequests); }),
              HasSubstr("cannot read"));
  EXPECT_THAT(message_of([&] { read_all(write_text(folder.path() / "t.csv.gz", "no gzip"), kRequests); }),
              HasSubstr("cannot read"));
  const auto whole = write_parquet(folder.path() / "u.parquet", "name,n\nx,1\n", Packing::snappy);
  std::filesystem::resize_file(whole, std::filesystem::file_size(whole) - 10);
  EXPECT_THAT(message_of([&] { read_all(whole, {{"name"}}); }), HasSubstr("cannot read"));
  EXPECT_THAT(
      message_of([&] { read_all(write_text(folder.path() / "latin.csv", "name\nCaf\xE9\n"), {{"name"}}); }),
      AllOf(HasSubstr("not UTF-8"), HasSubstr("iconv")));
}

TEST(TableReader, says_what_a_file_is_that_only_its_name_calls_a_csv) {
  const TemporaryFolder folder;
  const auto message = [&](const std::string& bytes) {
    return message_of([&] { read_all(write_text(folder.path() / "t.csv", bytes), {{"s"}}); });
  };
  const auto as_csv = [&](const char* name) {
    std::filesystem::rename(folder.path() / name, folder.path() / "t.csv");
    return message_of([&] { read_all(folder.path() / "t.csv", {{"s"}}); });
  };
  EXPECT_THAT(message(std::string("\xFF\xFEs\0,\0", 6)),
              AllOf(HasSubstr("is UTF-16 text"), HasSubstr("iconv")));
  EXPECT_THAT(message(std::string("\xFE\xFF\0s\0,", 6)),
              AllOf(HasSubstr("is UTF-16 text"), HasSubstr("iconv")));
  EXPECT_THAT(message("PK\x03\x04..."), HasSubstr("spreadsheet"));
  write_compressed(folder.path() / "t.csv.gz", "s\n1\n");
  EXPECT_THAT(as_csv("t.csv.gz"), AllOf(HasSubstr("gzip"), HasSubstr("end in .csv.gz")));
  write_compressed(folder.path() / "t.csv.zst", "s\n1\n");
  EXPECT_THAT(as_csv("t.csv.zst"), AllOf(HasSubstr("zstd"), HasSubstr("end in .csv.zst")));
  write_parquet(folder.path() / "t.parquet", "s\n1\n", Packing::snappy);
  EXPECT_THAT(as_csv("t.parquet"), AllOf(HasSubstr("Parquet"), HasSubstr("end in .parquet")));
}

TEST(TableReader, separators_within_quoted_names_do_not_count) {
  const TemporaryFolder folder;
  const auto file = write_text(folder.path() / "t.csv", "s;n;\"x,y,z,w\"\na;1;2\n");
  EXPECT_THAT(table_columns(file), ElementsAre("s", "n", "x,y,z,w"));
  EXPECT_THAT(read_all(file, {{"x,y,z,w", ColumnType::number}}).columns[0].numbers, ElementsAre(2));
}

TEST(TableReader, a_decimal_comma_is_told_that_a_point_is_expected) {
  const TemporaryFolder folder;
  const auto file = write_text(folder.path() / "t.csv", "s;n\na;1\na;5,5\n");
  EXPECT_THAT(message_of([&] {
                read_all(file, {{"n", ColumnType::number}});
              }),
              AllOf(HasSubstr("row 2 of"), HasSubstr("\"5,5\""), HasSubstr("decimal point")));
}

}  // namespace
}  // namespace shelfcast::data
