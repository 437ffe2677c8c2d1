#include "data/loader.h"

#include <fcntl.h>

#include <cmath>
#include <map>
#include <set>
#include <thread>

#include "base/memory.h"
#include "data/corpus.h"
#include "parallel/sharding.h"
#include "small_corpus.h"

namespace shelfcast::data {
namespace {

using namespace testing;

struct Row {
  std::int64_t sample, series, origin;
  float first_target;
  auto operator<=>(const Row&) const = default;
};

class LoaderTest : public ::testing::Test {
 protected:
  LoaderTest() : path_(folder_.path() / "small.corpus") {
    make_small(path_);
    DataConfig config;
    config.corpus = path_.string();
    config.context = 8;
    config.horizon = 3;
    config.known = {"price", "event", "snap"};
    config.past = {"stock"};
    config.statics = {"store"};
    spec_ = make_features(config, Corpus(path_), 40);
  }

  // The rows that count, in order.
  std::vector<Row> rows(const Sampler& sampler, LoaderConfig config, std::int64_t* batches = nullptr) {
    Loader loader(path_, spec_, sampler, config);
    std::vector<Row> rows;
    const std::int64_t total = (config.last_step - config.first_step) * loader.micro_batches();
    for (std::int64_t i = 0; i < total; ++i) {
      const Batch& batch = loader.next();
      EXPECT_EQ(batch.windows, config.micro_batch);
      for (std::size_t row = 0; row < batch.weight_b.size(); ++row) {
        if (batch.weight_b[row] == 0.0F) {
          EXPECT_EQ(batch.window_b[row].series, -1);
          EXPECT_TRUE(std::isnan(batch.context_bt[row * 8]) && std::isnan(batch.target_bh[row * 3]));
          continue;
        }
        const Window w = batch.window_b[row];
        rows.push_back({batch.sample_b[row], w.series, w.origin, batch.target_bh[row * 3]});
        EXPECT_EQ(batch.target_bh[row * 3], demand_at(w.series, w.origin));
        EXPECT_EQ(batch.context_bt[row * 8 + 7], demand_at(w.series, w.origin - 1));
      }
    }
    if (batches != nullptr) *batches = total;
    return rows;
  }

  static LoaderConfig config(std::int64_t batch, std::int64_t micro, std::int64_t steps, int rank = 0,
                             int ranks = 1) {
    LoaderConfig config;
    config.global_batch = batch;
    config.micro_batch = micro;
    config.rank = rank;
    config.ranks = ranks;
    config.last_step = steps;
    return config;
  }

  TemporaryFolder folder_;
  std::filesystem::path path_;
  FeatureSpec spec_;
};

TEST_F(LoaderTest, delivers_the_order_of_the_sampler_epoch_after_epoch) {
  for (const std::int64_t superblock : {1, 2, 64}) {
    const Sampler sampler(5, {10, 8, 40, 4, superblock});
    const std::int64_t steps = 3 * Loader::steps_per_epoch(sampler, 32);
    const std::vector<Row> seen = rows(sampler, config(32, 8, steps));
    std::size_t next = 0;
    for (std::int64_t epoch = 0; epoch < 3; ++epoch)
      for (std::int64_t p = 0; p < sampler.windows_per_epoch(); ++p) {
        const Window window = sampler.at(epoch, p);
        const std::int64_t sample = epoch * Loader::steps_per_epoch(sampler, 32) * 32 + p;
        ASSERT_LT(next, seen.size());
        ASSERT_EQ(seen[next],
                  (Row{sample, window.series, window.origin, demand_at(window.series, window.origin)}));
        ++next;
      }
    ASSERT_EQ(next, seen.size());
  }
}

TEST_F(LoaderTest, any_number_of_ranks_sees_the_same_windows_with_equally_many_micro_batches) {
  const Sampler sampler(5, {10, 8, 40, 4, 2});  // 330 windows: 7 steps of 50, the last with 30
  const std::int64_t steps = Loader::steps_per_epoch(sampler, 50) + 2;
  const std::vector<Row> alone = rows(sampler, config(50, 50, steps));
  for (const int ranks : {1, 2, 3, 5, 64}) {
    std::vector<Row> together;
    std::int64_t batches = 0, first_batches = 0;
    for (int rank = 0; rank < ranks; ++rank) {
      const std::vector<Row> own = rows(sampler, config(50, 7, steps, rank, ranks), &batches);
      if (rank == 0) first_batches = batches;
      EXPECT_EQ(batches, first_batches);
      const parallel::Slice slice = parallel::slice_of(50, ranks, rank);
      for (const Row& row : own) EXPECT_TRUE(row.sample % 50 >= slice.begin && row.sample % 50 < slice.end);
      together.insert(together.end(), own.begin(), own.end());
    }
    EXPECT_EQ(first_batches, steps * parallel::most_micro_batches(50, ranks, 7));
    std::sort(together.begin(), together.end());
    EXPECT_EQ(together, alone) << ranks;
  }
}

TEST_F(LoaderTest, partners_are_the_same_for_any_cut_of_the_work_and_stand_at_the_origin_of_their_windows) {
  const Sampler sampler(5, {10, 8, 40, 4, 2});
  const auto partners = [&](std::int64_t micro, int ranks) {
    std::map<std::int64_t, std::pair<std::int64_t, std::int64_t>> of_sample;
    for (int rank = 0; rank < ranks; ++rank) {
      LoaderConfig wanted = config(50, micro, 14, rank, ranks);
      wanted.partner_key = 77;
      Loader loader(path_, spec_, sampler, wanted);
      for (std::int64_t i = 0; i < 14 * loader.micro_batches(); ++i) {
        const Batch& batch = loader.next();
        const Batch& others = loader.partners();
        for (std::size_t row = 0; row < batch.window_b.size(); ++row) {
          const Window own = batch.window_b[row], other = others.window_b[row];
          EXPECT_EQ(others.sample_b[row], batch.sample_b[row]);
          EXPECT_EQ(own.origin, other.origin);
          if (own.series < 0) {
            EXPECT_EQ(other.series, -1);
            continue;
          }
          EXPECT_NE(own.series, other.series);
          EXPECT_EQ(others.target_bh[row * 3], demand_at(other.series, other.origin));
          EXPECT_EQ(others.context_bt[row * 8 + 7], demand_at(other.series, other.origin - 1));
          of_sample[batch.sample_b[row]] = {own.series, other.series};
        }
      }
    }
    return of_sample;
  };
  const auto alone = partners(50, 1);
  EXPECT_EQ(alone.size(), 2U * 330U);
  EXPECT_EQ(partners(7, 3), alone);
  // A series meets many others.
  std::set<std::pair<std::int64_t, std::int64_t>> pairs;
  for (const auto& [sample, pair] : alone) pairs.insert(pair);
  EXPECT_GT(pairs.size(), 60U);
}

TEST_F(LoaderTest, resumes_at_a_step_as_if_it_had_never_stopped) {
  const Sampler sampler(9, {10, 8, 40, 4, 1});
  const std::vector<Row> whole = rows(sampler, config(16, 4, 50));
  for (const std::int64_t step : {1, 20, 21, 37}) {
    LoaderConfig resumed = config(16, 4, 50);
    resumed.first_step = step;
    const std::vector<Row> rest = rows(sampler, resumed);
    const std::vector<Row> expected(whole.end() - static_cast<std::ptrdiff_t>(rest.size()), whole.end());
    EXPECT_EQ(rest, expected);
    EXPECT_EQ(rest.front().sample, step * 16);
  }
}

TEST_F(LoaderTest, more_ranks_than_windows_get_padding) {
  const Sampler sampler(1, {2, 20, 21, 4, 2});  // four windows
  std::size_t seen = 0;
  for (int rank = 0; rank < 9; ++rank) seen += rows(sampler, config(9, 3, 2, rank, 9)).size();
  EXPECT_EQ(seen, 8u);
}

TEST_F(LoaderTest, stops_in_the_middle_without_hanging) {
  const Sampler sampler(1, {10, 8, 40, 4, 2});
  { Loader loader(path_, spec_, sampler, config(16, 4, 1000)); }
  Loader loader(path_, spec_, sampler, config(16, 4, 1000));
  for (int i = 0; i < 7; ++i) loader.next();
}

TEST_F(LoaderTest, rethrows_what_the_reader_met) {
  SmallCorpus shape;
  shape.layout.compression = 4;
  const auto damaged = folder_.path() / "damaged.corpus";
  make_small(damaged, shape);
  // Blot out compressed chunks: sizes and headers stay sound, so that only reading finds it.
  const auto segment = damaged / "segment-000001.h5";
  const int file = ::open(segment.c_str(), O_RDWR);
  std::vector<char> bytes(std::filesystem::file_size(segment));
  ASSERT_EQ(::pread(file, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  int blotted = 0;
  for (std::size_t i = 0; i + 1 < bytes.size(); ++i)  // zlib streams begin with 0x78 0x5e at level 4
    if (bytes[i] == 0x78 && bytes[i + 1] == 0x5e) {
      bytes[i] = bytes[i + 1] = static_cast<char>(0xFF);
      ++blotted;
    }
  ASSERT_GT(blotted, 0);
  ASSERT_EQ(::pwrite(file, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  ::close(file);
  Loader loader(damaged, spec_, Sampler(1, {10, 8, 40, 4, 1}), config(32, 8, 100));
  expect_error(ErrorKind::data, {"segment-000001.h5", "dataset"}, [&] {
    for (int i = 0; i < 400; ++i) loader.next();
  });
}

TEST_F(LoaderTest, several_loaders_read_the_same_corpus_at_once) {
  const Sampler sampler(5, {10, 8, 40, 4, 1});
  std::vector<std::vector<Row>> seen(3);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 3; ++rank)
    threads.emplace_back(
        [&, rank] { seen[static_cast<std::size_t>(rank)] = rows(sampler, config(30, 5, 22, rank, 3)); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(seen[0].size() + seen[1].size() + seen[2].size(), 660u);
}

TEST_F(LoaderTest, memory_stays_flat_over_fifty_epochs) {
  const Sampler sampler(5, {10, 8, 40, 4, 1});
  const std::int64_t per_epoch = Loader::steps_per_epoch(sampler, 32);
  Loader loader(path_, spec_, sampler, config(32, 8, 50 * per_epoch));
  std::int64_t warm = 0;
  for (std::int64_t i = 0; i < 50 * per_epoch * loader.micro_batches(); ++i) {
    loader.next();
    if (i == 10 * per_epoch * loader.micro_batches()) warm = memory_use().resident_bytes;
  }
  EXPECT_LT(memory_use().resident_bytes - warm, 1'000'000);
}

TEST_F(LoaderTest, evaluation_batches_are_the_windows_in_order_padded_to_the_batch) {
  std::vector<Window> windows;
  for (std::int64_t series = 0; series < 10; ++series)
    for (const std::int64_t origin : {30, 57, 60}) windows.push_back({series, origin});
  EvaluationReader reader(path_, spec_, windows, 7);
  ASSERT_EQ(reader.batches(), 5);
  Batch batch;
  for (const std::int64_t index : {4, 0, 1, 2, 3, 0}) {
    reader.read(index, batch);
    for (std::int64_t row = 0; row < 7; ++row) {
      const auto r = static_cast<std::size_t>(row), position = static_cast<std::size_t>(index * 7 + row);
      if (position >= windows.size()) {
        EXPECT_EQ(batch.weight_b[r], 0.0F);
        continue;
      }
      const Window w = windows[position];
      ASSERT_EQ(batch.window_b[r].series, w.series);
      ASSERT_EQ(batch.sample_b[r], static_cast<std::int64_t>(position));
      ASSERT_EQ(batch.context_bt[r * 8], demand_at(w.series, w.origin - 8));
      ASSERT_TRUE(same(batch.target_bh[r * 3], w.origin < 60 ? demand_at(w.series, w.origin) : kNaN));
    }
  }
}

}  // namespace
}  // namespace shelfcast::data
