#include "parallel/sharding.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace shelfcast::parallel {
namespace {

TEST(SliceOf, covers_everything_once_in_order_with_sizes_that_differ_by_at_most_one) {
  for (std::int64_t total = 0; total <= 130; ++total) {
    for (int parts = 1; parts <= 40; ++parts) {
      std::int64_t next = 0, least = total, most = 0;
      for (int index = 0; index < parts; ++index) {
        const Slice slice = slice_of(total, parts, index);
        ASSERT_EQ(slice.begin, next);
        ASSERT_GE(slice.size(), 0);
        next = slice.end;
        least = std::min(least, slice.size());
        most = std::max(most, slice.size());
      }
      ASSERT_EQ(next, total);
      ASSERT_LE(most - least, 1);
    }
  }
}

TEST(SliceOf, gives_larger_slices_to_lower_ranks) {
  EXPECT_EQ(slice_of(10, 4, 0), (Slice{0, 3}));
  EXPECT_EQ(slice_of(10, 4, 1), (Slice{3, 6}));
  EXPECT_EQ(slice_of(10, 4, 2), (Slice{6, 8}));
  EXPECT_EQ(slice_of(10, 4, 3), (Slice{8, 10}));
}

TEST(SliceOf, leaves_ranks_beyond_the_windows_empty) { EXPECT_TRUE(slice_of(3, 5, 4).empty()); }

TEST(SliceOf, does_not_overflow_on_epochs_of_a_trillion_windows) {
  const std::int64_t total = std::int64_t{1} << 60;
  EXPECT_EQ(slice_of(total, 4096, 4095).end, total);
}

TEST(SliceOf, refuses_ranks_outside_the_group) {
  EXPECT_THROW(slice_of(10, 4, 4), Error);
  EXPECT_THROW(slice_of(10, 4, -1), Error);
  EXPECT_THROW(slice_of(10, 0, 0), Error);
  EXPECT_THROW(slice_of(-1, 4, 0), Error);
}

TEST(MicroBatches, cut_a_slice_completely_and_only_the_last_is_short) {
  for (std::int64_t begin : {0, 7}) {
    for (std::int64_t size = 0; size <= 50; ++size) {
      for (std::int64_t micro = 1; micro <= 12; ++micro) {
        std::int64_t next = begin;
        const std::vector<Slice> cuts = micro_batches({begin, begin + size}, micro);
        for (const Slice& cut : cuts) {
          ASSERT_EQ(cut.begin, next);
          ASSERT_TRUE(cut.size() == micro || (&cut == &cuts.back() && cut.size() >= 1));
          next = cut.end;
        }
        ASSERT_EQ(next, begin + size);
      }
    }
  }
  EXPECT_THROW(micro_batches({0, 1}, 0), Error);
}

TEST(MostMicroBatches, is_reached_by_some_rank_and_exceeded_by_none) {
  for (std::int64_t total = 0; total <= 60; ++total) {
    for (int ranks = 1; ranks <= 9; ++ranks) {
      for (std::int64_t micro = 1; micro <= 8; ++micro) {
        std::size_t most = 0;
        for (int rank = 0; rank < ranks; ++rank)
          most = std::max(most, micro_batches(slice_of(total, ranks, rank), micro).size());
        ASSERT_EQ(most_micro_batches(total, ranks, micro), static_cast<std::int64_t>(most));
      }
    }
  }
}

}  // namespace
}  // namespace shelfcast::parallel
