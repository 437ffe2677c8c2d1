#include "data/sampler.h"

#include <map>
#include <set>
#include <tuple>

#include "small_corpus.h"

namespace shelfcast::data {
namespace {

using testing::expect_error;

std::vector<WindowSpace> shapes() {
  // series, origins, chunk_series, superblock: dividing and not, one series, one origin, one chunk, one
  // super-block.
  return {{64, 10, 19, 8, 2}, {65, 10, 19, 8, 2}, {71, 3, 3, 8, 3},  {1, 5, 9, 64, 64},
          {1, 5, 5, 1, 1},    {7, 0, 6, 64, 64},  {100, 0, 0, 7, 4}, {33, 0, 30, 1, 5},
          {33, 0, 30, 32, 1}, {9, 2, 40, 4, 100}, {17, 0, 3, 4, 1}};
}

using Key = std::pair<std::int64_t, std::int64_t>;

std::vector<Key> epoch_order(const Sampler& sampler, std::int64_t epoch) {
  std::vector<Key> order;
  for (std::int64_t p = 0; p < sampler.windows_per_epoch(); ++p) {
    const Window window = sampler.at(epoch, p);
    order.emplace_back(window.series, window.origin);
  }
  return order;
}

TEST(Sampler, draws_every_window_once_an_epoch_whatever_the_shape) {
  for (const WindowSpace& space : shapes())
    for (std::uint64_t seed = 0; seed < 12; ++seed) {
      const Sampler sampler(seed, space);
      const std::vector<Key> order = epoch_order(sampler, static_cast<std::int64_t>(seed % 3));
      std::set<Key> expected;
      for (std::int64_t s = 0; s < space.series; ++s)
        for (std::int64_t o = space.first_origin; o <= space.last_origin; ++o) expected.emplace(s, o);
      ASSERT_EQ(order.size(), expected.size());
      ASSERT_EQ(std::set<Key>(order.begin(), order.end()), expected);
    }
}

TEST(Sampler, a_partner_is_any_other_series_of_the_super_block_at_the_same_origin) {
  for (const WindowSpace& space : shapes())
    for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
      const Sampler sampler(4, space);
      for (std::int64_t index = 0; index < sampler.superblocks(); ++index) {
        const SuperBlockOrder order = sampler.order(epoch, index);
        std::set<std::int64_t> inside;
        for (const std::int64_t chunk : order.block().chunks)
          for (std::int64_t s = chunk * space.chunk_series;
               s < std::min((chunk + 1) * space.chunk_series, space.series); ++s)
            inside.insert(s);
        const PlacedWindow window = order.at(order.block().first_position);
        std::set<std::int64_t> drawn;
        for (std::uint64_t key = 0; key < 40 * inside.size(); ++key) {
          const PlacedWindow partner = order.partner(window, key);
          ASSERT_EQ(partner.window.origin, window.window.origin);
          ASSERT_EQ(partner.window.series,
                    order.block().chunks[partner.slot] * space.chunk_series + partner.in_chunk);
          drawn.insert(partner.window.series);
        }
        if (inside.size() > 1) inside.erase(window.window.series);
        ASSERT_EQ(drawn, inside);
      }
    }
}

TEST(Sampler, replays_as_many_old_windows_of_every_series_as_asked_and_others_each_epoch) {
  for (WindowSpace space : shapes()) {
    space.first_origin += 30;
    space.last_origin += 30;
    space.oldest_origin = 4;
    space.replayed = 7;
    const Sampler sampler(3, space);
    std::set<Key> drawn;
    for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
      std::map<std::int64_t, std::set<std::int64_t>> recent, old;
      for (const auto& [series, origin] : epoch_order(sampler, epoch)) {
        ASSERT_GE(origin, 4);
        ASSERT_LE(origin, space.last_origin);
        // No window twice in an epoch.
        ASSERT_TRUE((origin < space.first_origin ? old : recent)[series].insert(origin).second);
        if (origin < space.first_origin) drawn.emplace(series, origin);
      }
      for (std::int64_t series = 0; series < space.series; ++series) {
        ASSERT_EQ(recent[series].size(), static_cast<std::size_t>(space.new_origins()));
        ASSERT_EQ(old[series].size(), 7U);
      }
    }
    // Three draws of 7 out of at least 26 are hardly ever the same.
    ASSERT_GT(drawn.size(), static_cast<std::size_t>(8 * space.series));
  }
}

TEST(Sampler, shows_as_many_windows_of_every_series_as_asked_the_same_in_each_epoch) {
  for (WindowSpace space : shapes()) {
    space.shots = 4;
    const auto shown = static_cast<std::size_t>(std::min<std::int64_t>(4, space.new_origins()));
    std::set<std::set<Key>> of_seeds;
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
      const Sampler sampler(seed, space);
      const std::vector<Key> first = epoch_order(sampler, 0), second = epoch_order(sampler, 1);
      const std::set<Key> drawn(first.begin(), first.end());
      ASSERT_EQ(drawn.size(), first.size()) << "no window twice in an epoch";
      ASSERT_EQ(drawn, std::set<Key>(second.begin(), second.end()));
      std::map<std::int64_t, std::size_t> of_series;
      for (const auto& [series, origin] : drawn) {
        ASSERT_TRUE(origin >= space.first_origin && origin <= space.last_origin);
        ++of_series[series];
      }
      ASSERT_EQ(of_series.size(), static_cast<std::size_t>(space.series));
      for (const auto& [series, count] : of_series) ASSERT_EQ(count, shown);
      of_seeds.insert(drawn);
    }
    const bool choice = space.new_origins() > 6 && space.series > 1;
    ASSERT_EQ(of_seeds.size(), choice ? 4U : of_seeds.size()) << "other seeds draw others";
  }
}

TEST(Sampler, shows_few_windows_beside_those_replayed) {
  WindowSpace space{20, 15, 44, 8, 2};
  space.shots = 5;
  space.oldest_origin = 3;
  space.replayed = 4;
  std::map<std::int64_t, int> recent, old;
  for (const auto& [series, origin] : epoch_order(Sampler(3, space), 2)) {
    ASSERT_TRUE(origin >= 3 && origin <= 44);
    ++(origin < 15 ? old : recent)[series];
  }
  for (std::int64_t series = 0; series < 20; ++series) {
    ASSERT_EQ(recent[series], 5);
    ASSERT_EQ(old[series], 4);
  }
}

TEST(Sampler, more_replay_than_there_is_past_repeats_it_evenly) {
  WindowSpace space{20, 5, 14, 8, 2};
  space.replayed = 12;
  const Sampler sampler(3, space);
  std::map<Key, int> times;
  for (const Key& key : epoch_order(sampler, 0)) ++times[key];
  for (std::int64_t series = 0; series < 20; ++series)
    for (std::int64_t origin = 0; origin < 5; ++origin) {
      const int n = times[Key(series, origin)];
      ASSERT_TRUE(n == 2 || n == 3);
    }
}

TEST(Sampler, super_blocks_tile_the_epoch_and_hold_the_windows_of_their_chunks) {
  for (const WindowSpace& space : shapes())
    for (std::uint64_t seed = 0; seed < 12; ++seed) {
      const Sampler sampler(seed, space);
      std::int64_t position = 0;
      std::set<std::int64_t> chunks;
      for (std::int64_t index = 0; index < sampler.superblocks(); ++index) {
        const SuperBlock block = sampler.superblock(1, index);
        ASSERT_EQ(block.first_position, position);
        ASSERT_LE(block.chunks.size(), static_cast<std::size_t>(space.superblock));
        chunks.insert(block.chunks.begin(), block.chunks.end());
        const std::set<std::int64_t> own(block.chunks.begin(), block.chunks.end());
        const SuperBlockOrder order = sampler.order(1, index);
        for (std::int64_t p = position; p < position + block.windows; ++p) {
          ASSERT_EQ(sampler.superblock_of(1, p), index);
          const PlacedWindow placed = order.at(p);
          ASSERT_EQ(placed.window.series / space.chunk_series, block.chunks.at(placed.slot));
          ASSERT_EQ(placed.in_chunk, placed.window.series % space.chunk_series);
          ASSERT_EQ(sampler.at(1, p).series, placed.window.series);
        }
        position += block.windows;
      }
      ASSERT_EQ(position, sampler.windows_per_epoch());
      ASSERT_EQ(chunks.size(), static_cast<std::size_t>(space.chunks()));
    }
}

TEST(Sampler, epochs_and_seeds_differ_and_repeat_exactly) {
  const WindowSpace space{50, 0, 19, 8, 3};
  const Sampler sampler(7, space);
  EXPECT_EQ(epoch_order(sampler, 0), epoch_order(Sampler(7, space), 0));
  EXPECT_NE(epoch_order(sampler, 0), epoch_order(sampler, 1));
  EXPECT_NE(epoch_order(sampler, 0), epoch_order(Sampler(8, space), 0));
}

// Any series is as likely to come early as late, the last, shorter chunk included.
TEST(Sampler, series_stand_anywhere_over_epochs) {
  const Sampler sampler(3, {13, 0, 4, 4, 1});
  std::map<std::int64_t, double> mean;
  const int epochs = 2000;
  for (int epoch = 0; epoch < epochs; ++epoch)
    for (std::int64_t p = 0; p < sampler.windows_per_epoch(); ++p)
      mean[sampler.at(epoch, p).series] += static_cast<double>(p) / (5.0 * epochs);
  for (const auto& [series, position] : mean) EXPECT_NEAR(position, 32.0, 2.5) << series;
}

TEST(Sampler, a_huge_epoch_costs_as_little_as_a_small_one) {
  const Sampler sampler(1, {1'000'000'000, 0, 4999, 64, 64});
  const std::int64_t last = sampler.windows_per_epoch() - 1;
  EXPECT_LT(sampler.at(0, last).series, 1'000'000'000);
  EXPECT_EQ(sampler.superblock_of(0, last), sampler.superblocks() - 1);
}

TEST(Sampler, an_empty_space_is_an_error_that_says_what_to_change) {
  expect_error(ErrorKind::input, {"no window to train on", "data.train_until"}, [] {
    Sampler(1, {5, 10, 9, 4, 4});
  });
  expect_error(ErrorKind::input, {"no series"}, [] { Sampler(1, {0, 0, 9, 4, 4}); });
}

}  // namespace
}  // namespace shelfcast::data
