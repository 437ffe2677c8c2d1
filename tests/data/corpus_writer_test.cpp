#include "data/corpus_writer.h"

#include <fmt/format.h>
#include <sys/mount.h>

#include "base/memory.h"
#include "data/hdf5_file.h"
#include "data/manifest.h"
#include "small_corpus.h"

namespace shelfcast::data {
namespace {

namespace fs = std::filesystem;
using namespace testing;

CorpusInfo bare_info(std::int64_t steps) {
  CorpusInfo info;
  info.axis.start = *parse_date("2024-01-01");
  info.steps = steps;
  return info;
}

SeriesTable bare_table(std::int64_t series) {
  SeriesTable table;
  for (std::int64_t i = 0; i < series; ++i) table.names.push_back(fmt::format("s{}", i));
  return table;
}

class CorpusWriterTest : public ::testing::Test {
 protected:
  fs::path path() const { return folder_.path() / "made.corpus"; }
  bool nothing_left() const { return fs::is_empty(folder_.path()); }

 private:
  TemporaryFolder folder_;
};

TEST_F(CorpusWriterTest, leaves_nothing_when_it_is_not_finished) {
  const SmallCorpus shape;
  {
    CorpusWriter writer(path(), small_info(shape), small_table(shape), shape.layout);
    write_small(writer, shape);
    EXPECT_FALSE(fs::exists(path()));
  }
  EXPECT_TRUE(nothing_left());
}

TEST_F(CorpusWriterTest, refuses_a_folder_that_exists) {
  fs::create_directory(path());
  expect_error(ErrorKind::input, {"already exists"},
               [&] { CorpusWriter writer(path(), bare_info(3), bare_table(1)); });
}

TEST_F(CorpusWriterTest, refuses_too_few_series_and_demand_that_is_missing_everywhere) {
  expect_error(ErrorKind::input, {"only 1 of 2 series"}, [&] {
    CorpusWriter writer(path(), bare_info(3), bare_table(2));
    writer.append(1, std::vector<float>{1, 2, 3}, {});
    writer.finish();
  });
  expect_error(ErrorKind::input, {"no demand"}, [&] {
    CorpusWriter writer(path(), bare_info(3), bare_table(1));
    writer.append(1, std::vector<float>(3, kNaN), {});
    writer.finish();
  });
  EXPECT_TRUE(nothing_left());
}

TEST_F(CorpusWriterTest, refuses_names_that_are_taken_or_cannot_be) {
  SeriesTable twice = bare_table(2);
  twice.names[1] = twice.names[0];
  expect_error(ErrorKind::input, {"two series are named \"s0\""},
               [&] { CorpusWriter writer(path(), bare_info(3), twice); });
  CorpusInfo info = bare_info(3);
  info.covariates = {{"a/b", Role::known, Kind::numeric, "series", {}}};
  expect_error(ErrorKind::input, {"a/b", "slash"}, [&] { CorpusWriter writer(path(), info, bare_table(1)); });
  info.covariates = {{"x", Role::known, Kind::numeric, "shop", {}}};
  expect_error(ErrorKind::input, {"no static \"shop\""},
               [&] { CorpusWriter writer(path(), info, bare_table(1)); });
  expect_error(ErrorKind::input, {"no series"}, [&] { CorpusWriter writer(path(), bare_info(3), {}); });
  SeriesTable zero = bare_table(1);
  zero.names[0] = std::string("a\0b", 3);
  expect_error(ErrorKind::input, {"zero byte"}, [&] { CorpusWriter writer(path(), bare_info(3), zero); });
  EXPECT_TRUE(nothing_left());
}

TEST_F(CorpusWriterTest, names_series_and_date_of_an_infinite_demand) {
  CorpusWriter writer(path(), bare_info(3), bare_table(2));
  writer.append(1, std::vector<float>{1, 2, 3}, {});
  expect_error(ErrorKind::input, {"demand is infinite", "s1", "2024-01-02"}, [&] {
    writer.append(1, std::vector<float>{1, INFINITY, 3}, {});
  });
}

TEST_F(CorpusWriterTest, finds_where_demand_ends_and_keeps_series_that_are_all_missing) {
  CorpusWriter writer(path(), bare_info(5), bare_table(3));
  writer.append(
      3, std::vector<float>{1, 2, kNaN, kNaN, kNaN, kNaN, kNaN, kNaN, kNaN, kNaN, 1, kNaN, 0, kNaN, kNaN},
      {});
  writer.finish();
  const Corpus corpus(path());
  EXPECT_EQ(corpus.info().demand_end, 3);
  EXPECT_EQ(corpus.info().name, "made");
  PanelBlock block;
  corpus.read(1, 1, 0, 5, {}, block);
  for (const float value : block.demand) EXPECT_TRUE(std::isnan(value));
}

TEST_F(CorpusWriterTest, keeps_texts_and_truths) {
  CorpusInfo info = bare_info(2);
  info.statics = {{"item", Kind::categorical, {"ä", "b"}}};
  info.item_level = "item";
  SeriesTable table = bare_table(3);
  table.codes = {{0, 1, 0}};
  table.values.resize(1);
  {
    CorpusWriter writer(path(), info, table, {2, 1, 100, 0});
    writer.write_documents({{"ä", "Käse 奶酪 🧀"}, {"b", ""}, {"ä", std::string("with\0zero", 9)}});
    writer.append(3, std::vector<float>{1, 2, 3, 4, 5, 6}, {});
    writer.append_truth("uncensored", 1, std::vector<float>{1, 2});
    writer.append_truth("uplift", 3, std::vector<float>{6, 5, 4, 3, 2, 1});
    writer.append_truth("uncensored", 2, std::vector<float>{3, 4, 5, 6});
    writer.finish();
  }
  const Corpus corpus(path());
  const std::vector<Document> documents = corpus.documents();
  ASSERT_EQ(documents.size(), 3u);
  EXPECT_EQ(documents[0].item, "ä");
  EXPECT_EQ(documents[0].text, "Käse 奶酪 🧀");
  EXPECT_EQ(documents[1].text, "");
  EXPECT_EQ(documents[2].text, std::string("with\0zero", 9));
  EXPECT_EQ(corpus.truths(), (std::vector<std::string>{"uncensored", "uplift"}));
  std::vector<float> values;
  corpus.read_truth("uncensored", 1, 2, 1, 1, values);
  EXPECT_EQ(values, (std::vector<float>{4, 6}));
  expect_error(ErrorKind::input, {"no truth \"x\"", "uplift"},
               [&] { corpus.read_truth("x", 0, 1, 0, 1, values); });
  corpus.verify();
}

TEST_F(CorpusWriterTest, view_shows_everything_in_one_file) {
  SmallCorpus shape;
  shape.layout = {4, 4, 2048, 0};  // three segments
  make_small(path(), shape);
  const Hdf5File view = Hdf5File::open(path() / "all.h5");
  const Hdf5Dataset demand = view.dataset("demand", 10, 60);
  std::vector<float> values(600);
  demand.read({0, 10, 0, 60}, values.data(), 60);
  for (std::int64_t i = 0; i < 10; ++i)
    for (std::int64_t t = 0; t < 60; ++t)
      ASSERT_EQ(values[static_cast<std::size_t>(i * 60 + t)], demand_at(i, t));
  EXPECT_EQ(view.read_strings("names")[9], "série 9 苹果");
  EXPECT_EQ(view.read_strings("vocabulary/covariate/event")[1], "中秋节");
  EXPECT_EQ(view.dataset("known/snap").rows(), 2);
  EXPECT_EQ(view.dataset("past/stock").rows(), 10);
}

TEST_F(CorpusWriterTest, memory_does_not_grow_with_the_corpus) {
  const std::int64_t series = 4000, steps = 2000;  // 32 MB
  const std::int64_t before = memory_use().peak_bytes;
  CorpusWriter writer(path(), bare_info(steps), bare_table(series), {1024, 16, 2048, 0});
  const std::vector<float> rows(static_cast<std::size_t>(8 * steps), 1.0F);
  for (std::int64_t i = 0; i < series; i += 8) writer.append(8, rows, {});
  writer.finish();
  EXPECT_LT(memory_use().peak_bytes - before, 12'000'000);
}

TEST_F(CorpusWriterTest, full_disk_is_one_error_and_leaves_nothing) {
  const TemporaryFolder mounted;
  if (::mount("none", mounted.path().c_str(), "tmpfs", 0, "size=1m") != 0)
    GTEST_SKIP() << "a small disk can only be made by root";
  for (const int compression : {0, 1}) {
    expect_error(ErrorKind::io, {"cannot write", "No space left", "free some space"}, [&] {
      const std::int64_t steps = 1000;
      CorpusWriter writer(mounted.path() / "made.corpus", bare_info(steps), bare_table(2000),
                          {512, 16, 2048, compression});
      std::vector<float> row(static_cast<std::size_t>(steps));
      std::uint32_t state = 1;
      for (int i = 0; i < 2000; ++i) {
        for (float& value : row) value = static_cast<float>(state = state * 1664525u + 1013904223u);
        writer.append(1, row, {});
      }
      writer.finish();
    });
    EXPECT_TRUE(fs::is_empty(mounted.path()));
  }
  ::umount(mounted.path().c_str());
}

}  // namespace
}  // namespace shelfcast::data
