#include "data/corpus.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "base/files.h"
#include "data/hdf5_file.h"
#include "data/manifest.h"
#include "small_corpus.h"

namespace shelfcast::data {
namespace {

namespace fs = std::filesystem;
using namespace testing;

class CorpusTest : public ::testing::Test {
 protected:
  fs::path path() const { return folder_.path() / "small.corpus"; }
  fs::path segment(int index = 0) const { return path() / ("segment-00000" + std::to_string(index) + ".h5"); }
  void replace_in_manifest(const std::string& from, const std::string& to) const {
    std::string text = read_file(path() / "manifest.json");
    const auto at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    write_file_atomically(path() / "manifest.json", text);
  }

 private:
  TemporaryFolder folder_;
};

// Every cell of another target in demand's place, and of demand in its.
TEST_F(CorpusTest, is_seen_with_another_column_as_the_target) {
  make_small(path());
  const Corpus plain(path()), corpus(CorpusSource(path(), "stock"));
  EXPECT_EQ(corpus.info().target, "stock");
  EXPECT_EQ(plain.info().target, "demand");
  EXPECT_EQ(corpus.digest(), plain.digest());
  EXPECT_EQ(corpus.info().demand_end, plain.info().demand_end);
  const std::size_t demand = corpus.info().covariate_index("demand");
  EXPECT_EQ(demand, plain.info().covariate_index("stock"));
  EXPECT_EQ(corpus.info().covariates[demand].role, Role::past);
  expect_error(ErrorKind::input, {"\"stock\" is what data.target forecasts"},
               [&] { corpus.info().covariate_index("stock"); });
  const std::vector<std::size_t> wanted{demand, corpus.info().covariate_index("price")};
  PanelBlock block;
  corpus.read(2, 5, 10, 40, wanted, block);
  for (std::int64_t i = 2; i < 7; ++i)
    for (std::int64_t t = 10; t < 50; ++t) {
      const auto cell = static_cast<std::size_t>(t - 10);
      EXPECT_EQ(block.demand[static_cast<std::size_t>((i - 2) * 40) + cell], stock_at(i, t));
      EXPECT_EQ(block.row(0, i)[cell], demand_at(i, t));
      EXPECT_EQ(block.row(1, i)[cell], price_at(i, t));
    }
}

TEST_F(CorpusTest, says_which_columns_cannot_be_targets) {
  make_small(path());
  const auto open_with = [&](const std::string& target) {
    return [this, target] { const Corpus corpus(CorpusSource(path(), target)); };
  };
  expect_error(ErrorKind::input, {"stok", "did you mean \"stock\"?"}, open_with("stok"));
  expect_error(ErrorKind::input, {"event", "categorical"}, open_with("event"));
  expect_error(ErrorKind::input, {"snap", "one row per state"}, open_with("snap"));
  fs::remove_all(path());
  CorpusInfo info = small_info({});
  info.covariates[3].name = "demand";
  CorpusWriter writer(path(), info, small_table({}), LayoutOptions{});
  write_small(writer, {});
  writer.finish();
  expect_error(ErrorKind::input, {"cut", "a covariate of that name"}, open_with("cut"));
}

void expect_cells(const Corpus& corpus, std::int64_t first, std::int64_t series, std::int64_t step,
                  std::int64_t steps) {
  const std::vector<std::size_t> wanted{4, 2, 1, 0};
  PanelBlock block;
  corpus.read(first, series, step, steps, wanted, block);
  ASSERT_EQ(block.columns.size(), 4u);
  const auto value = [&](std::size_t column, std::int64_t i, std::int64_t t) {
    const PanelBlock::Column& c = block.columns[column];
    const std::int64_t row = c.rows == 1 ? 0 : c.row_of.empty() ? i : c.row_of[static_cast<std::size_t>(i)];
    return c.values[static_cast<std::size_t>(row * steps + t)];
  };
  for (std::int64_t i = 0; i < series; ++i)
    for (std::int64_t t = 0; t < steps; ++t) {
      const std::int64_t s = first + i, d = step + t;
      ASSERT_EQ(block.demand[static_cast<std::size_t>(i * steps + t)], demand_at(s, d));
      ASSERT_EQ(value(0, i, t), cut_at(s, d));
      ASSERT_TRUE(same(value(1, i, t), s == 3 ? kNaN : snap_at(s % 4 / 2, d))) << s << " " << d;
      ASSERT_EQ(value(2, i, t), event_at(d));
      ASSERT_EQ(value(3, i, t), price_at(s, d));
    }
}

TEST_F(CorpusTest, reads_back_every_rectangle_that_was_written) {
  for (const int compression : {0, 4})
    for (const std::int64_t rows : {1, 3, 4, 10}) {
      SmallCorpus shape;
      shape.layout = {8, 4, 25, compression};  // segments of 8 and 2 series; three even chunks of 20 steps
      shape.rows_per_append = rows;
      make_small(path(), shape);
      const Corpus corpus(path());
      EXPECT_EQ(corpus.manifest().segments.size(), 2u);
      EXPECT_EQ(corpus.chunk_shape(), (std::pair<std::int64_t, std::int64_t>{4, 20}));
      expect_cells(corpus, 0, 10, 0, 60);
      expect_cells(corpus, 7, 2, 19, 2);
      expect_cells(corpus, 3, 1, 0, 60);
      expect_cells(corpus, 9, 1, 59, 1);
      corpus.verify();
      fs::remove_all(path());
    }
}

TEST_F(CorpusTest, tells_what_it_holds) {
  make_small(path());
  const Corpus corpus(path());
  const CorpusInfo& info = corpus.info();
  EXPECT_EQ(info.name, "small");
  EXPECT_EQ(info.series, 10);
  EXPECT_EQ(info.steps, 60);
  EXPECT_EQ(info.demand_end, 60);
  EXPECT_EQ(format_date(info.axis.start), "2023-11-20");
  EXPECT_EQ(corpus.series_names()[4], "série 4 苹果");
  EXPECT_EQ(info.covariates[1].vocabulary, (std::vector<std::string>{"Ostern", "中秋节", "Christmas"}));
  EXPECT_EQ(info.covariates[3].role, Role::past);
  EXPECT_EQ(corpus.static_codes(1)[3], -1);
  EXPECT_EQ(corpus.static_codes(0)[6], 2);
  EXPECT_EQ(corpus.static_values(2)[6], 3.0F);
  EXPECT_TRUE(corpus.documents().empty());
  EXPECT_TRUE(corpus.truths().empty());
  expect_error(ErrorKind::input, {"prize", "did you mean \"price\""}, [&] { info.covariate_index("prize"); });
  expect_error(ErrorKind::input, {"stor", "\"store\""}, [&] { info.static_index("stor"); });
}

TEST_F(CorpusTest, reads_a_grid_of_segments_in_series_and_time) {
  SmallCorpus shape;
  make_small(path(), shape);
  // Cut the first segment (series 0-7) into two blocks of time by hand.
  Manifest manifest = read_manifest(path());
  const SegmentEntry whole = manifest.segments[0];
  const Hdf5File source = Hdf5File::open(path() / whole.file.file);
  std::vector<SegmentEntry> parts;
  for (const std::int64_t first : {0, 23}) {
    const std::int64_t steps = first == 0 ? 23 : 37;
    const std::string name = "segment-00001" + std::to_string(parts.size()) + ".h5";
    Hdf5File file = Hdf5File::create(path() / name);
    file.set_attribute("format", std::string("shelfcast-segment"));
    file.set_attribute("version", std::int64_t{1});
    for (const std::string dataset : {"demand", "known/price", "past/stock", "past/cut"}) {
      std::vector<float> values(static_cast<std::size_t>(8 * steps));
      source.dataset(dataset).read({0, 8, first, steps}, values.data(), steps);
      file.create_dataset(dataset, {8, steps, 0, 0, 0, StoredType::float32})
          .write({0, 8, 0, steps}, values.data());
    }
    file.close();
    const fs::path made = path() / name;
    parts.push_back({{name, static_cast<std::int64_t>(fs::file_size(made)), digest_file(made)},
                     0,
                     8,
                     first,
                     steps,
                     steps});
  }
  manifest.segments = {manifest.segments[1], parts[1], parts[0]};
  write_manifest(path(), manifest);
  const Corpus corpus(path());
  expect_cells(corpus, 0, 10, 0, 60);
  expect_cells(corpus, 6, 4, 20, 10);
  expect_cells(corpus, 0, 2, 30, 5);
}

TEST_F(CorpusTest, finds_a_truncated_segment_wherever_it_is_cut) {
  make_small(path());
  const std::string bytes = read_file(segment());
  for (const double share : {0.0, 0.001, 0.1, 0.5, 0.9, 0.999}) {
    fs::resize_file(segment(), static_cast<std::uintmax_t>(share * static_cast<double>(bytes.size())));
    expect_error(ErrorKind::data, {"segment-000000.h5", "truncated", "copy it again"},
                 [&] { Corpus corpus(path()); });
    write_file_atomically(segment(), bytes);
  }
  Corpus corpus(path());
}

TEST_F(CorpusTest, finds_missing_foreign_and_damaged_files) {
  make_small(path());
  const std::string bytes = read_file(segment(1));
  const std::string shown = "segment-000001.h5";
  fs::remove(segment(1));
  expect_error(ErrorKind::data, {shown, "missing"}, [&] { Corpus corpus(path()); });
  write_file_atomically(segment(1), std::string(bytes.size(), 'x'));
  expect_error(ErrorKind::data, {shown, "not an HDF5 file"}, [&] { Corpus corpus(path()); });
  write_file_atomically(segment(1), bytes + "x");
  expect_error(ErrorKind::data, {shown, "grown"}, [&] { Corpus corpus(path()); });

  std::string flipped = bytes;
  flipped[flipped.size() - 5] = static_cast<char>(flipped[flipped.size() - 5] ^ 1);
  write_file_atomically(segment(1), flipped);
  expect_error(ErrorKind::data, {shown, "digest"}, [&] { Corpus(path()).verify(); });
}

TEST_F(CorpusTest, finds_a_foreign_hdf5_file_of_the_right_size) {
  make_small(path());
  fs::remove(segment(1));
  Hdf5File foreign = Hdf5File::create(segment(1));
  foreign.write_vector("x", std::vector<float>{1.0F});
  foreign.close();
  Manifest manifest = read_manifest(path());
  manifest.segments[1].file.bytes = static_cast<std::int64_t>(fs::file_size(segment(1)));
  write_manifest(path(), manifest);
  expect_error(ErrorKind::data, {"segment-000001.h5", "not part of a corpus"},
               [&] { Corpus corpus(path()); });
}

TEST_F(CorpusTest, finds_segments_of_another_shape) {
  make_small(path());
  // Swap the two segments: 8 and 2 series.
  Manifest manifest = read_manifest(path());
  std::swap(manifest.segments[0].file, manifest.segments[1].file);
  write_manifest(path(), manifest);
  expect_error(ErrorKind::data, {"dataset demand", "wrong shape", "8 x 60"}, [&] { Corpus corpus(path()); });
}

TEST_F(CorpusTest, refuses_other_versions_and_damaged_manifests) {
  make_small(path());
  const std::string good = read_file(path() / "manifest.json");
  replace_in_manifest("\"version\": 1", "\"version\": 2");
  expect_error(ErrorKind::data, {"manifest.json", "version 2", "reads version 1"},
               [&] { Corpus corpus(path()); });
  for (const std::size_t length : {0, 1, 100, 700}) {
    write_file_atomically(path() / "manifest.json", good.substr(0, length));
    expect_error(ErrorKind::data, {"manifest.json"}, [&] { Corpus corpus(path()); });
  }
  write_file_atomically(path() / "manifest.json", good);
  replace_in_manifest("\"first_series\": 8", "\"first_series\": 7");
  expect_error(ErrorKind::data, {"overlap"}, [&] { Corpus corpus(path()); });
  write_file_atomically(path() / "manifest.json", good);
  replace_in_manifest("segment-000001.h5", "../segment-001.h5");
  expect_error(ErrorKind::data, {"bad file entry"}, [&] { Corpus corpus(path()); });
}

TEST_F(CorpusTest, says_when_there_is_no_corpus) {
  expect_error(ErrorKind::input, {"there is no corpus", "shelfcast ingest"}, [&] { Corpus corpus(path()); });
  fs::create_directory(path());
  expect_error(ErrorKind::input, {"not a corpus", "manifest.json"}, [&] { Corpus corpus(path()); });
}

TEST_F(CorpusTest, opens_while_another_holds_a_lock) {
  make_small(path());
  const int other = ::open(segment().c_str(), O_RDWR);
  ASSERT_EQ(::flock(other, LOCK_EX | LOCK_NB), 0);
  Corpus(path()).verify();
  ::close(other);
}

// The library reads the variable when it starts, so this test runs itself again with it.
TEST_F(CorpusTest, names_the_remedy_when_locking_is_forced_and_refused) {
  if (std::getenv("HDF5_USE_FILE_LOCKING") == nullptr) {
    const std::string self = fs::read_symlink("/proc/self/exe").string();
    const std::string command =
        "HDF5_USE_FILE_LOCKING=TRUE '" + self + "' --gtest_filter='*names_the_remedy*' >&2";
    EXPECT_EQ(std::system(command.c_str()), 0);
    return;
  }
  make_small(path());
  const int other = ::open(segment().c_str(), O_RDWR);
  ASSERT_EQ(::flock(other, LOCK_EX | LOCK_NB), 0);
  expect_error(ErrorKind::io, {"segment-000000.h5", "lock", "HDF5_USE_FILE_LOCKING=FALSE"},
               [&] { Corpus corpus(path()); });
  ::close(other);
}

TEST_F(CorpusTest, reads_more_segments_than_it_keeps_open) {
  SmallCorpus shape;
  shape.series = 50;
  shape.layout = {1, 1, 2048, 0};
  make_small(path(), shape);
  const Corpus corpus(path());
  EXPECT_EQ(corpus.manifest().segments.size(), 50u);
  expect_cells(corpus, 0, 50, 0, 60);
  expect_cells(corpus, 20, 5, 10, 5);
}

TEST_F(CorpusTest, same_numbers_make_the_same_digest) {
  make_small(path());
  const std::string first = Corpus(path()).digest();
  fs::remove_all(path());
  make_small(path());
  EXPECT_EQ(Corpus(path()).digest(), first);
}

}  // namespace
}  // namespace shelfcast::data
