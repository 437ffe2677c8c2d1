#include "data/ingest/csv_quotes.h"

#include <random>

#include "data/ingest/table_reader.h"
#include "tests/ingest/compressed_tables.h"
#include "tests/ingest/tables.h"

namespace shelfcast::data {
namespace {

using namespace shelfcast::testing;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::int64_t kLongest = 1 << 20;

std::int64_t stray_at(const std::string& text) {
  CsvQuotes quotes(',', kLongest);
  quotes.pass(text);
  quotes.finish();
  return quotes.stray_at();
}

// The same by the grammar, a byte at a time.
std::int64_t stray_at_by_the_book(const std::string& text) {
  enum { field_start, in_field, quoted } state = field_start;
  std::size_t opened = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (state == quoted) {
      if (text[i] == '"') {
        if (i + 1 < text.size() && text[i + 1] == '"') {
          ++i;
        } else {
          state = in_field;
          const bool ends = i + 1 == text.size() || text[i + 1] == ',' || text[i + 1] == '\n';
          if (!ends && text.substr(opened, i - opened).find('\n') != std::string::npos)
            return static_cast<std::int64_t>(opened);
        }
      }
    } else if (text[i] == '"' && state == field_start) {
      state = quoted;
      opened = i;
    } else {
      state = text[i] == ',' || text[i] == '\n' ? field_start : in_field;
    }
  }
  return state == quoted ? static_cast<std::int64_t>(opened) : -1;
}

TEST(CsvQuotes, finds_a_mark_that_nothing_closes) {
  EXPECT_EQ(stray_at("a,b\n1,\"x\n2,y\n"), 6);
  EXPECT_EQ(stray_at("\xEF\xBB\xBF\"a,b\n1,x\n"), 3);
  EXPECT_EQ(stray_at("\xEF\xBB\xBF"
                     "a,b\n1,\"x\n"),
            9);
  EXPECT_EQ(stray_at("a,b\r\n\"two\nlines\",\"x \"\"y\"\"\"\r\n3,5\" nails\r\n4,\"\"\r\n"), -1);
  EXPECT_EQ(stray_at("a,b\n1,\"5\" nails\n"), -1);
}

TEST(CsvQuotes, a_mark_is_stray_when_its_cell_ends_where_another_begins) {
  EXPECT_EQ(stray_at("a,b\n1,\"x\n2,y\n3,\"z\"\n"), 6);
}

TEST(CsvQuotes, a_mark_is_stray_when_its_cell_is_too_long) {
  CsvQuotes quotes(',', kLongest);
  quotes.pass("a,b\n1,\"x\n");
  for (int i = 0; i < 3; ++i) quotes.pass(std::string(kLongest / 4, 'x'));
  EXPECT_EQ(quotes.stray_at(), -1);
  quotes.pass(std::string(kLongest / 4, 'x'));
  EXPECT_EQ(quotes.stray_at(), 6);
}

TEST(CsvQuotes, follows_the_grammar_however_the_bytes_are_cut) {
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (unsigned i = random() % 200; i > 0; --i) text += "\"\",,\nxxx"[random() % 8];
    CsvQuotes quotes(',', 1 << 20);
    for (std::string_view rest = text; !rest.empty();) {
      const std::size_t size = std::min<std::size_t>(rest.size(), random() % 90 + 1);
      quotes.pass(rest.substr(0, size));
      rest.remove_prefix(size);
    }
    quotes.finish();
    ASSERT_EQ(quotes.stray_at(), stray_at_by_the_book(text)) << text;
  }
}

std::string read(const std::filesystem::path& file) {
  return message_of([&] {
    TableReader reader({file}, {{"s"}});
    TableBatch batch;
    while (reader.next(batch)) {
    }
  });
}

TEST(CsvQuotes, a_table_with_a_stray_mark_is_refused_and_the_line_named) {
  const TemporaryFolder folder;
  for (const int rows : {2'000, 600'000}) {  // within a block, and blocks beyond it
    std::string text = "s,note\n";
    for (int i = 1; i <= rows; ++i) text += i == 1000 ? "a,\"bolt\n" : "a,bolt\n";
    for (const auto& file :
         {write_text(folder.path() / "t.csv", text), write_compressed(folder.path() / "t.csv.gz", text),
          write_compressed(folder.path() / "t.csv.zst", text)}) {
      EXPECT_THAT(read(file), AllOf(HasSubstr("line 1001 of " + file.string()), HasSubstr("quotation mark")));
    }
  }
}

}  // namespace
}  // namespace shelfcast::data
