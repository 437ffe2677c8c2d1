// What every back end of Communicator promises, checked the same way on each.
#include <gtest/gtest.h>

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <fstream>
#include <memory>
#include <thread>

#include "base/error.h"
#include "base/random.h"
#include "tests/contract/contract.h"

namespace shelfcast::parallel {
namespace {

using namespace std::chrono_literals;
using Bytes = std::vector<std::byte>;

// Long enough for a busy machine, short enough that a hanging test ends.
constexpr Deadlines kPatient{30'000ms, 30'000ms};

class CommunicatorContract : public ::testing::TestWithParam<World> {
 protected:
  void run(const RankBody& body, Deadlines deadlines = kPatient) const { GetParam().run(body, deadlines); }
  int size() const { return GetParam().size; }
};

INSTANTIATE_TEST_SUITE_P(On, CommunicatorContract, ::testing::ValuesIn(worlds_under_test()),
                         [](const auto& world) { return world.param.name; });

Bytes to_bytes(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

template <typename T>
Bytes to_bytes(const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

// Values of one rank whose sums over ranks are exact in every type: small integers.
template <typename T>
std::vector<T> values_of(int rank, std::size_t count) {
  std::vector<T> values(count);
  for (std::size_t i = 0; i < count; ++i)
    values[i] = static_cast<T>(1000 * (rank + 1) + static_cast<int>(i % 101));
  return values;
}

template <typename T>
std::vector<T> sum_over_ranks(int ranks, std::size_t count) {
  std::vector<T> sums(count, T{0});
  for (int rank = 0; rank < ranks; ++rank) {
    const std::vector<T> values = values_of<T>(rank, count);
    for (std::size_t i = 0; i < count; ++i) sums[i] += values[i];
  }
  return sums;
}

// Floats of widely different size and sign, so that the order of a sum shows in its last bits.
std::vector<float> rough_values(int rank, std::size_t count) {
  RandomStream stream(mix(17, static_cast<std::uint64_t>(rank)));
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(stream.normal() * std::exp(8.0 * stream.normal()));
  return values;
}

constexpr std::size_t kLengths[] = {0, 1, 2, 3, 7, 64, 1000, 4099};

TEST_P(CommunicatorContract, ranks_are_numbered_once_each) {
  run([this](Communicator& ranks) {
    EXPECT_EQ(ranks.size(), size());
    const auto all = ranks.all_gather_bytes(to_bytes(std::to_string(ranks.rank())), "ranks");
    for (int i = 0; i < size(); ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)], to_bytes(std::to_string(i)));
  });
}

TEST_P(CommunicatorContract, local_ranks_are_those_of_one_host) {
  run([this](Communicator& ranks) {
    EXPECT_EQ(ranks.local_size(), size());
    EXPECT_EQ(ranks.local_rank(), ranks.rank());
  });
}

template <typename T>
void expect_exact_sums(Communicator& ranks) {
  for (const std::size_t count : kLengths) {
    std::vector<T> values = values_of<T>(ranks.rank(), count);
    ranks.all_reduce(std::span(values), ReduceOp::sum, "sums");
    EXPECT_EQ(values, sum_over_ranks<T>(ranks.size(), count)) << count;
  }
}

TEST_P(CommunicatorContract, sums_of_integers_are_exact_in_every_type_and_length) {
  run([](Communicator& ranks) {
    expect_exact_sums<float>(ranks);
    expect_exact_sums<double>(ranks);
    expect_exact_sums<std::int64_t>(ranks);
  });
}

TEST_P(CommunicatorContract, integers_beyond_the_precision_of_double_are_summed_exactly) {
  run([this](Communicator& ranks) {
    std::vector<std::int64_t> values = {(std::int64_t{1} << 60) + ranks.rank()};
    ranks.all_reduce(std::span(values), ReduceOp::max, "largest");
    EXPECT_EQ(values[0], (std::int64_t{1} << 60) + size() - 1);
  });
}

TEST_P(CommunicatorContract, minimum_and_maximum_are_found) {
  run([this](Communicator& ranks) {
    for (const std::size_t count : kLengths) {
      std::vector<double> least = values_of<double>(ranks.rank(), count), most = least;
      ranks.all_reduce(std::span(least), ReduceOp::min, "least");
      ranks.all_reduce(std::span(most), ReduceOp::max, "most");
      EXPECT_EQ(least, values_of<double>(0, count));
      EXPECT_EQ(most, values_of<double>(size() - 1, count));
    }
  });
}

TEST_P(CommunicatorContract,
       float_sums_are_the_same_bits_everywhere_and_every_time_where_promised_in_rank_order) {
  run([this](Communicator& ranks) {
    constexpr std::size_t kCount = 10'007;
    std::vector<float> expected = rough_values(0, kCount);
    for (int rank = 1; rank < size(); ++rank) {
      const std::vector<float> more = rough_values(rank, kCount);
      for (std::size_t i = 0; i < kCount; ++i) expected[i] += more[i];
    }
    Bytes first;
    for (int repeat = 0; repeat < 3; ++repeat) {
      std::vector<float> values = rough_values(ranks.rank(), kCount);
      ranks.all_reduce(std::span(values), ReduceOp::sum, "bits");
      const Bytes bits = to_bytes(values);
      if (repeat == 0) first = bits;
      EXPECT_EQ(bits, first);
      for (const Bytes& of_rank : ranks.all_gather_bytes(bits, "everyone's bits")) EXPECT_EQ(of_rank, bits);
      if (GetParam().sums_in_rank_order) {
        EXPECT_EQ(bits, to_bytes(expected));
      }
    }
  });
}

TEST_P(CommunicatorContract, several_reductions_may_be_under_way_and_waited_for_in_any_order) {
  run([this](Communicator& ranks) {
    std::vector<std::vector<float>> buckets;
    for (std::size_t i = 0; i < 6; ++i) buckets.push_back(values_of<float>(ranks.rank(), 3000 * i + 1));
    std::vector<std::unique_ptr<Pending>> pending;
    for (auto& bucket : buckets) pending.push_back(ranks.start_all_reduce(bucket, "bucket"));
    for (std::size_t i = 0; i < 6; ++i) pending[ranks.rank() % 2 == 0 ? i : 5 - i]->wait();
    for (const auto& bucket : buckets) EXPECT_EQ(bucket, sum_over_ranks<float>(size(), bucket.size()));
  });
}

TEST_P(CommunicatorContract, a_sum_at_one_rank_comes_to_every_root_in_every_length) {
  run([this](Communicator& ranks) {
    for (int root = 0; root < size(); ++root) {
      for (const std::size_t count : kLengths) {
        std::vector<float> values = values_of<float>(ranks.rank(), count);
        ranks.start_reduce(values, root, "sum at one rank")->wait();
        if (ranks.rank() == root) {
          EXPECT_EQ(values, sum_over_ranks<float>(size(), count)) << count;
        }
      }
    }
  });
}

TEST_P(CommunicatorContract, a_sum_at_one_rank_has_the_bits_of_that_at_all_where_promised_in_rank_order) {
  run([this](Communicator& ranks) {
    std::vector<float> at_all = rough_values(ranks.rank(), 10'007), at_one = at_all;
    ranks.start_all_reduce(at_all, "at all")->wait();
    ranks.start_reduce(at_one, size() - 1, "at one")->wait();
    if (GetParam().sums_in_rank_order && ranks.rank() == size() - 1) {
      EXPECT_EQ(to_bytes(at_one), to_bytes(at_all));
    }
  });
}

TEST_P(CommunicatorContract, sums_at_different_ranks_may_be_under_way_together) {
  run([this](Communicator& ranks) {
    std::vector<std::vector<float>> buckets;
    for (std::size_t i = 0; i < 6; ++i) buckets.push_back(values_of<float>(ranks.rank(), 3000 * i + 1));
    std::vector<std::unique_ptr<Pending>> pending;
    for (std::size_t i = 0; i < 6; ++i)
      pending.push_back(ranks.start_reduce(buckets[i], static_cast<int>(i) % size(), "share of a bucket"));
    for (std::size_t i = 0; i < 6; ++i) pending[ranks.rank() % 2 == 0 ? i : 5 - i]->wait();
    for (std::size_t i = 0; i < 6; ++i)
      if (static_cast<int>(i) % size() == ranks.rank()) {
        EXPECT_EQ(buckets[i], sum_over_ranks<float>(size(), buckets[i].size())) << i;
      }
  });
}

std::vector<BFloat16> rounded(const std::vector<float>& values) {
  std::vector<BFloat16> all(values.size());
  std::transform(values.begin(), values.end(), all.begin(), to_bfloat16);
  return all;
}

TEST_P(CommunicatorContract, sums_of_16_bits_are_the_same_on_every_rank_and_as_close_as_their_precision) {
  run([this](Communicator& ranks) {
    constexpr std::size_t kCount = 10'007;
    std::vector<double> exact(kCount, 0.0), sizes(kCount, 0.0);
    std::vector<float> in_rank_order(kCount, 0.0f);
    for (int rank = 0; rank < size(); ++rank) {
      const std::vector<float> values = rough_values(rank, kCount);
      for (std::size_t i = 0; i < kCount; ++i) {
        exact[i] += values[i];
        sizes[i] += std::abs(static_cast<double>(values[i]));
        const float sent = to_float(to_bfloat16(values[i]));
        in_rank_order[i] = rank == 0 ? sent : in_rank_order[i] + sent;
      }
    }
    std::vector<BFloat16> values = rounded(rough_values(ranks.rank(), kCount)), at_root = values;
    ranks.start_all_reduce(values, "sums of 16 bits")->wait();
    for (const Bytes& of_rank : ranks.all_gather_bytes(to_bytes(values), "everyone's bits"))
      EXPECT_EQ(of_rank, to_bytes(values));
    ranks.start_reduce(at_root, 0, "sums of 16 bits at rank 0")->wait();
    if (GetParam().sums_in_rank_order && GetParam().adds_in_float) {
      EXPECT_EQ(values, rounded(in_rank_order));
    }
    // What every rank gives is rounded, and the sum after every addition at most.
    const double bound = 1.01 * (size() + 1) / 256.0;
    const auto largest_error = [&](const std::vector<BFloat16>& sums) {
      double largest = 0;
      for (std::size_t i = 0; i < kCount; ++i)
        largest = std::max(largest, std::abs(to_float(sums[i]) - exact[i]) / sizes[i]);
      return largest;
    };
    EXPECT_LT(largest_error(values), bound);
    if (ranks.rank() == 0) {
      EXPECT_LT(largest_error(at_root), bound);
    }
  });
}

TEST(BFloat16, is_rounded_to_the_nearest_and_ties_to_even) {
  EXPECT_EQ(to_float(to_bfloat16(1.0f)), 1.0f);
  EXPECT_EQ(to_float(to_bfloat16(1.0f + 1.0f / 256)), 1.0f);              // a tie: down to even
  EXPECT_EQ(to_float(to_bfloat16(1.0f + 3.0f / 256)), 1.0f + 1.0f / 64);  // a tie: up to even
  EXPECT_EQ(to_float(to_bfloat16(1.0f + 1.1f / 256)), 1.0f + 1.0f / 128);
  EXPECT_EQ(to_float(to_bfloat16(-1e-30f)), -std::abs(to_float(to_bfloat16(1e-30f))));
  EXPECT_TRUE(std::isinf(to_float(to_bfloat16(INFINITY))));
  EXPECT_TRUE(std::isnan(to_float(to_bfloat16(NAN))));
  EXPECT_TRUE(std::isnan(to_float(to_bfloat16(std::bit_cast<float>(0x7f800001U)))));
}

TEST_P(CommunicatorContract, several_broadcasts_may_be_under_way_and_every_root_is_heard) {
  run([this](Communicator& ranks) {
    std::vector<std::vector<float>> values;
    for (int root = 0; root < size(); ++root)
      values.push_back(values_of<float>(ranks.rank(), 1000 * static_cast<std::size_t>(root) + 7));
    std::vector<std::unique_ptr<Pending>> pending;
    for (int root = 0; root < size(); ++root)
      pending.push_back(ranks.start_broadcast(
          std::as_writable_bytes(std::span(values[static_cast<std::size_t>(root)])), root, "sums"));
    for (auto& one : pending) one->wait();
    for (int root = 0; root < size(); ++root) {
      const std::vector<float>& got = values[static_cast<std::size_t>(root)];
      EXPECT_EQ(got, values_of<float>(root, got.size())) << root;
    }
  });
}

TEST_P(CommunicatorContract, small_sums_behind_large_ones_are_told_apart) {
  run([this](Communicator& ranks) {
    for (int repeat = 0; repeat < 3; ++repeat) {
      std::vector<std::vector<float>> buckets;
      for (const std::size_t count : {100'000, 1, 30'000, 2, 3})
        buckets.push_back(values_of<float>(ranks.rank(), count));
      std::vector<std::unique_ptr<Pending>> pending;
      for (auto& bucket : buckets) pending.push_back(ranks.start_all_reduce(bucket, "bucket"));
      for (int i = 0; i < 50 * (1 + ranks.rank()); ++i) ranks.progress();
      for (auto& one : pending) one->wait();
      for (const auto& bucket : buckets) EXPECT_EQ(bucket, sum_over_ranks<float>(size(), bucket.size()));
    }
  });
}

TEST_P(CommunicatorContract, progress_alone_ends_what_was_started) {
  run([this](Communicator& ranks) {
    std::vector<float> sums = values_of<float>(ranks.rank(), 100'000), sent = sums, at_root = sums;
    const std::unique_ptr<Pending> all[] = {
        ranks.start_all_reduce(sums, "sums"), ranks.start_reduce(at_root, 0, "sum"),
        ranks.start_broadcast(std::as_writable_bytes(std::span(sent)), size() - 1, "sent")};
    const auto until = std::chrono::steady_clock::now() + 20s;
    for (const auto& one : all) {
      while (!one->done() && std::chrono::steady_clock::now() < until) {
        ranks.progress();
        std::this_thread::sleep_for(1ms);  // stands for a piece of work
      }
      EXPECT_TRUE(one->done());
      one->wait();
    }
    EXPECT_EQ(sums, sum_over_ranks<float>(size(), sums.size()));
    EXPECT_EQ(sent, values_of<float>(size() - 1, sent.size()));
    if (ranks.rank() == 0) {
      EXPECT_EQ(at_root, sums);
    }
    ranks.barrier("end");
  });
}

TEST_P(CommunicatorContract, waiting_twice_is_harmless) {
  run([](Communicator& ranks) {
    std::vector<float> values = {1.0f};
    const auto pending = ranks.start_all_reduce(values, "once");
    pending->wait();
    pending->wait();
    EXPECT_EQ(values[0], static_cast<float>(ranks.size()));
  });
}

TEST_P(CommunicatorContract, a_rank_inside_another_operation_still_serves_those_started_before) {
  run([](Communicator& ranks) {
    std::vector<float> values = values_of<float>(ranks.rank(), 100'000);
    const auto pending = ranks.start_all_reduce(values, "started");
    if (ranks.rank() == 0) {
      ranks.barrier("between");
      pending->wait();
    } else {
      pending->wait();
      ranks.barrier("between");
    }
    EXPECT_EQ(values, sum_over_ranks<float>(ranks.size(), values.size()));
  });
}

TEST_P(CommunicatorContract, a_rank_that_only_makes_progress_keeps_nobody_waiting) {
  if (size() == 1) GTEST_SKIP() << "nobody to keep waiting";
  run(
      [](Communicator& ranks) {
        ranks.barrier("begin");
        std::vector<float> values = values_of<float>(ranks.rank(), 100'000);  // more than MPI sends unasked
        const auto pending = ranks.start_all_reduce(values, "started");
        const auto until = std::chrono::steady_clock::now() + 2000ms;
        while (ranks.rank() == 0 && std::chrono::steady_clock::now() < until) {
          ranks.progress();
          std::this_thread::sleep_for(1ms);  // stands for a piece of work
        }
        pending->wait();
        EXPECT_EQ(values[1], sum_over_ranks<float>(ranks.size(), 2)[1]);
      },
      {30'000ms, 1500ms});
}

TEST_P(CommunicatorContract, reduce_scatter_leaves_each_rank_its_part_of_the_sum) {
  run([this](Communicator& ranks) {
    for (const std::size_t length : kLengths) {
      const std::size_t total = length * static_cast<std::size_t>(size());
      const std::vector<float> values = values_of<float>(ranks.rank(), total),
                               sums = sum_over_ranks<float>(size(), total);
      std::vector<float> part(length, -1.0f);
      ranks.reduce_scatter(values, part, "gradient parts");
      const auto mine = sums.begin() + static_cast<std::ptrdiff_t>(length) * ranks.rank();
      EXPECT_TRUE(std::equal(part.begin(), part.end(), mine)) << length;
    }
  });
}

TEST_P(CommunicatorContract, all_gather_puts_parts_in_rank_order) {
  run([this](Communicator& ranks) {
    for (const std::size_t length : kLengths) {
      const std::vector<float> part = values_of<float>(ranks.rank(), length);
      std::vector<float> all(length * static_cast<std::size_t>(size()));
      ranks.all_gather(part, all, "parameters");
      for (int rank = 0; rank < size(); ++rank) {
        const std::vector<float> expected = values_of<float>(rank, length);
        const auto begin = all.begin() + static_cast<std::ptrdiff_t>(length) * rank;
        EXPECT_TRUE(std::equal(expected.begin(), expected.end(), begin)) << length;
      }
    }
  });
}

TEST_P(CommunicatorContract, all_gather_works_in_place) {
  run([this](Communicator& ranks) {
    constexpr std::size_t kLength = 500;
    std::vector<float> all(kLength * static_cast<std::size_t>(size()));
    const auto mine = std::span(all).subspan(kLength * static_cast<std::size_t>(ranks.rank()), kLength);
    std::ranges::copy(values_of<float>(ranks.rank(), kLength), mine.begin());
    ranks.all_gather(mine, all, "parameters");
    for (int rank = 0; rank < size(); ++rank)
      EXPECT_EQ(all[kLength * static_cast<std::size_t>(rank)], values_of<float>(rank, 1)[0]);
  });
}

TEST_P(CommunicatorContract, bytes_of_different_lengths_are_gathered) {
  run([this](Communicator& ranks) {
    // Rank 0 gives nothing, the others more and more.
    const auto text_of = [](int rank) {
      return std::string(static_cast<std::size_t>(rank) * 777, static_cast<char>('a' + rank));
    };
    const auto all = ranks.all_gather_bytes(to_bytes(text_of(ranks.rank())), "metrics");
    ASSERT_EQ(all.size(), static_cast<std::size_t>(size()));
    for (int rank = 0; rank < size(); ++rank)
      EXPECT_EQ(all[static_cast<std::size_t>(rank)], to_bytes(text_of(rank)));
  });
}

TEST_P(CommunicatorContract, every_root_can_broadcast_and_targets_are_resized) {
  run([this](Communicator& ranks) {
    for (int root = 0; root < size(); ++root) {
      for (const std::size_t length : kLengths) {
        const Bytes sent = to_bytes(values_of<float>(root, length));
        Bytes bytes = ranks.rank() == root ? sent : to_bytes("what was here before");
        ranks.broadcast(bytes, root, "recipe");
        EXPECT_EQ(bytes, sent);
        std::vector<float> values = values_of<float>(ranks.rank(), length);
        ranks.broadcast(std::span(values), root, "weights");
        EXPECT_EQ(values, values_of<float>(root, length));
      }
    }
  });
}

TEST_P(CommunicatorContract, a_barrier_lets_nobody_through_before_the_last) {
  run([](Communicator& ranks) {
    ranks.barrier("begin");
    const auto began = std::chrono::steady_clock::now();
    if (ranks.rank() == ranks.size() - 1) std::this_thread::sleep_for(100ms);
    ranks.barrier("end");
    const auto waited = std::chrono::steady_clock::now() - began;
    EXPECT_TRUE(ranks.size() == 1 || waited >= 50ms);
  });
}

TEST_P(CommunicatorContract, split_groups_by_color_and_orders_by_key) {
  run([this](Communicator& ranks) {
    // Even and odd ranks apart, highest first.
    const auto group = ranks.split(ranks.rank() % 2 == 0 ? -5 : 7, -ranks.rank());
    std::vector<float> members;
    for (int rank = size() - 1; rank >= 0; --rank)
      if (rank % 2 == ranks.rank() % 2) members.push_back(static_cast<float>(rank));
    ASSERT_EQ(group->size(), static_cast<int>(members.size()));
    const float own = static_cast<float>(ranks.rank());
    std::vector<float> gathered(members.size());
    group->all_gather(std::span(&own, 1), gathered, "members");
    EXPECT_EQ(gathered, members);
    EXPECT_EQ(gathered[static_cast<std::size_t>(group->rank())], own);

    // The whole goes on working beside its parts, and parts can be split again.
    const auto alone = group->split(group->rank(), 0);
    EXPECT_EQ(alone->size(), 1);
    ranks.barrier("together");
  });
}

TEST_P(CommunicatorContract, equal_keys_keep_the_order_of_ranks) {
  run([](Communicator& ranks) { EXPECT_EQ(ranks.split(0, 0)->rank(), ranks.rank()); });
}

TEST_P(CommunicatorContract, the_first_operation_has_the_long_deadline) {
  run(
      [](Communicator& ranks) {
        if (ranks.rank() == 0) std::this_thread::sleep_for(400ms);
        EXPECT_NO_THROW(ranks.barrier("after a long start"));
      },
      {30'000ms, 100ms});
}

// Runs `before` on all ranks, then `wait` on all but `late`, who comes after the deadline: the error that
// comes out of the run, or out of each waiting process of it, must name the operation and the late rank.
void expect_timeout(
    const World& world, int late, const std::string& label, const RankBody& wait, bool names_the_late = true,
    const RankBody& before = [](Communicator&) {}) {
  std::atomic<bool> somebody_waits_here = false;
  try {
    world.run(
        [&](Communicator& ranks) {
          before(ranks);
          ranks.barrier("begin");
          if (ranks.rank() == late) return std::this_thread::sleep_for(1000ms);
          somebody_waits_here = true;
          wait(ranks);
        },
        {30'000ms, 300ms});
    EXPECT_FALSE(somebody_waits_here) << "no timeout";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::timeout) << error.what();
    EXPECT_NE(error.problem().find(label), std::string::npos) << error.what();
    if (names_the_late) {
      EXPECT_NE(error.why().find(std::to_string(late)), std::string::npos) << error.what();
    }
    EXPECT_TRUE(error.rank) << error.what();
  }
}

TEST_P(CommunicatorContract, a_late_rank_becomes_a_timeout_naming_operation_and_rank) {
  if (size() == 1) GTEST_SKIP() << "nobody to wait for";
  expect_timeout(GetParam(), size() - 1, "before validation",
                 [](Communicator& ranks) { ranks.barrier("before validation"); });
}

TEST_P(CommunicatorContract, a_late_rank_is_named_in_reductions_under_way) {
  if (size() == 1) GTEST_SKIP() << "nobody to wait for";
  expect_timeout(
      GetParam(), 0, "bucket 3",
      [](Communicator& ranks) {
        std::vector<float> values(1000, 1.0f);
        ranks.start_all_reduce(values, "bucket 3")->wait();
      },
      GetParam().names_the_late);
}

TEST_P(CommunicatorContract, nothing_starts_after_a_timeout) {
  if (size() == 1) GTEST_SKIP() << "nobody to wait for";
  expect_timeout(GetParam(), 0, "metrics", [](Communicator& ranks) {
    try {
      ranks.all_gather_bytes(to_bytes("mae"), "metrics");
    } catch (const Error&) {
      EXPECT_THROW(ranks.barrier("next"), Error);
      throw;
    }
  });
}

TEST_P(CommunicatorContract, ranks_that_disagree_about_a_size_get_an_error) {
  if (size() == 1) GTEST_SKIP() << "nobody to disagree with";
  try {
    run(
        [](Communicator& ranks) {
          std::vector<float> values(ranks.rank() == 0 ? 900 : 1000, 1.0f);
          ranks.barrier("begin");
          EXPECT_THROW(ranks.all_reduce(std::span(values), ReduceOp::sum, "loss"), Error);
        },
        {30'000ms, 500ms});
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("loss"), std::string::npos) << error.what();
  }
}

// Values in memory of the communicator's.
template <typename T>
std::span<T> allocated(const std::shared_ptr<std::byte>& memory, std::size_t first, std::size_t count) {
  return {reinterpret_cast<T*>(memory.get()) + first, count};
}

TEST_P(CommunicatorContract, allocated_memory_is_zero_and_aligned_and_outlives_its_communicator) {
  std::vector<std::shared_ptr<std::byte>> kept(static_cast<std::size_t>(size()));
  run([&](Communicator& ranks) {
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{1'000'000}}) {
      const auto memory = ranks.allocate(bytes, "memory");
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.get()) % 64, 0U);
      for (std::size_t i = 0; i < bytes; ++i) ASSERT_EQ(memory.get()[i], std::byte{0}) << i;
      kept[static_cast<std::size_t>(ranks.rank())] = memory;
    }
    const std::span<float> values = allocated<float>(kept[static_cast<std::size_t>(ranks.rank())], 0, 1000);
    std::fill(values.begin(), values.end(), 1.0f);
    ranks.all_reduce(values, ReduceOp::sum, "sum");
  });
  for (const auto& memory : kept)
    if (memory) {
      EXPECT_EQ(allocated<float>(memory, 999, 1)[0], static_cast<float>(size()));
    }
}

// Whatever way they take: to all or to one, of any type, from any place, several at a time.
TEST_P(CommunicatorContract, sums_in_allocated_memory_have_the_bits_of_those_elsewhere) {
  run([this](Communicator& ranks) {
    constexpr std::size_t kCount = 10'007;
    const auto memory = ranks.allocate(4 * kCount * sizeof(float), "memory"),
               halves = ranks.allocate(kCount * sizeof(BFloat16), "memory of halves");
    const std::vector<float> rough = rough_values(ranks.rank(), kCount);
    std::vector<BFloat16> rounded;
    for (const float value : rough) rounded.push_back(to_bfloat16(value));
    const int last = size() - 1;
    std::vector<float> sum = rough, at_last = rough, least = rough;
    std::vector<BFloat16> rounded_sum = rounded;
    ranks.start_all_reduce(std::span(sum), "sum")->wait();
    ranks.start_reduce(std::span(at_last), last, "sum at one rank")->wait();
    ranks.all_reduce(std::span(least), ReduceOp::min, "least");
    ranks.start_all_reduce(std::span(rounded_sum), "sum of halves")->wait();

    for (int repeat = 0; repeat < 3; ++repeat) {
      const auto place = [&](std::size_t number) {
        const std::span<float> values = allocated<float>(memory, number * kCount, kCount);
        std::copy(rough.begin(), rough.end(), values.begin());
        return values;
      };
      const std::span<float> whole = place(0), pieces = place(1), rooted = place(2), other = place(3);
      const std::span<BFloat16> small = allocated<BFloat16>(halves, 0, kCount);
      std::copy(rounded.begin(), rounded.end(), small.begin());
      std::vector<std::unique_ptr<Pending>> pending;
      pending.push_back(ranks.start_all_reduce(whole, "whole"));
      for (const auto& [begin, end] :
           {std::pair<std::size_t, std::size_t>{0, 1}, {1, 3}, {3, 5000}, {5000, 5000}, {5000, kCount}})
        pending.push_back(ranks.start_all_reduce(pieces.subspan(begin, end - begin), "piece"));
      pending.push_back(ranks.start_reduce(rooted, last, "rooted"));
      pending.push_back(ranks.start_all_reduce(small, "small"));
      for (auto& one : pending) one->wait();
      ranks.all_reduce(other, ReduceOp::min, "least");
      EXPECT_TRUE(std::ranges::equal(whole, sum));
      if (GetParam().sums_in_rank_order) {
        EXPECT_TRUE(std::ranges::equal(pieces, sum));
      }
      if (ranks.rank() == last) {
        EXPECT_TRUE(std::ranges::equal(rooted, at_last));
      }
      EXPECT_TRUE(std::ranges::equal(small, rounded_sum));
      EXPECT_TRUE(std::ranges::equal(other, least));
    }
  });
}

TEST_P(CommunicatorContract, groups_sum_in_memory_allocated_by_all) {
  run([this](Communicator& ranks) {
    const auto memory = ranks.allocate(3000 * sizeof(float), "memory");
    const auto group = ranks.split(ranks.rank() % 2, ranks.rank());
    const std::span<float> values = allocated<float>(memory, 500, 2001);
    const std::vector<float> own = values_of<float>(ranks.rank(), values.size());
    std::copy(own.begin(), own.end(), values.begin());
    group->all_reduce(values, ReduceOp::sum, "of the group");
    std::vector<float> expected(own.size(), 0.0f);
    for (int rank = ranks.rank() % 2; rank < size(); rank += 2)
      for (std::size_t i = 0; i < own.size(); ++i) expected[i] += values_of<float>(rank, own.size())[i];
    EXPECT_TRUE(std::ranges::equal(values, expected));
    EXPECT_EQ(allocated<float>(memory, 499, 1)[0], 0.0f);
    EXPECT_EQ(allocated<float>(memory, 2501, 1)[0], 0.0f);
  });
}

// How much memory shared with other processes this one has mapped.
int mappings() {
  std::ifstream maps("/proc/self/maps");
  int count = 0;
  for (std::string line; std::getline(maps, line);)
    if (line.find("memfd:shelfcast") != std::string::npos) ++count;
  return count;
}

// Or nothing above would have been about shared memory.
TEST_P(CommunicatorContract, ranks_that_are_processes_map_each_other_s_memory) {
  run([this](Communicator& ranks) {
    if (ranks.backend() != "mpi") return;
    EXPECT_EQ(mappings(), 0);
    auto memory = ranks.allocate(1'000'000, "memory");
    EXPECT_EQ(mappings(), size());
    ranks.barrier("mapped");
    memory.reset();
    EXPECT_EQ(mappings(), 0);
  });
}

TEST_P(CommunicatorContract, where_one_rank_has_no_memory_to_share_all_send_messages) {
  run([this](Communicator& ranks) {
    if (ranks.backend() != "mpi") return;
    rlimit files = {};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
    const rlimit none = {3, files.rlim_max};
    if (ranks.rank() == size() - 1) setrlimit(RLIMIT_NOFILE, &none);
    const auto memory = ranks.allocate(4000, "memory");
    setrlimit(RLIMIT_NOFILE, &files);
    EXPECT_EQ(mappings(), 0);
    const std::span<float> values = allocated<float>(memory, 0, 1000);
    std::fill(values.begin(), values.end(), 1.0f);
    ranks.all_reduce(values, ReduceOp::sum, "sum");
    EXPECT_TRUE(
        std::ranges::all_of(values, [&](float value) { return value == static_cast<float>(size()); }));
  });
}

TEST_P(CommunicatorContract, ranks_that_disagree_about_a_place_in_memory_get_an_error) {
  if (size() == 1) GTEST_SKIP() << "nobody to disagree with";
  for (const std::size_t wrong : {900, 1000}) {
    try {
      run(
          [&](Communicator& ranks) {
            const auto memory = ranks.allocate(8000, "memory");
            const bool odd = ranks.rank() == 0 && ranks.backend() == "mpi";
            const auto values = allocated<float>(memory, odd && wrong == 1000 ? 16 : 0, odd ? wrong : 1000);
            ranks.barrier("begin");
            if (ranks.backend() != "mpi") return;
            EXPECT_THROW(ranks.all_reduce(values, ReduceOp::sum, "loss"), Error);
          },
          {30'000ms, 500ms});
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("loss"), std::string::npos) << error.what();
    }
  }
}

TEST_P(CommunicatorContract, a_late_rank_is_named_in_sums_in_allocated_memory) {
  if (size() == 1) GTEST_SKIP() << "nobody to wait for";
  std::vector<std::shared_ptr<std::byte>> memory(static_cast<std::size_t>(size()));
  const auto own = [&](Communicator & ranks) -> auto& {
    return memory[static_cast<std::size_t>(ranks.rank())];
  };
  expect_timeout(
      GetParam(), 0, "bucket 3",
      [&](Communicator& ranks) {
        ranks.start_all_reduce(allocated<float>(own(ranks), 0, 1000), "bucket 3")->wait();
      },
      GetParam().names_the_late, [&](Communicator& ranks) { own(ranks) = ranks.allocate(4000, "memory"); });
}

// A witness that says what the test wants.
class FakeWitness : public RankWitness {
 public:
  std::optional<Error> failure() const override {
    if (std::chrono::steady_clock::now() < fails_at) return std::nullopt;
    Error error(ErrorKind::communication, "rank 7 on n3 is gone");
    error.rank = 7;
    return error;
  }
  Verdict judge(std::span<const int> awaited, std::chrono::milliseconds) override {
    judged.assign(awaited.begin(), awaited.end());
    return verdict;
  }

  std::chrono::steady_clock::time_point fails_at = std::chrono::steady_clock::time_point::max();
  Verdict verdict;
  std::vector<int> judged;
};

TEST_P(CommunicatorContract, a_failure_the_witness_learns_of_ends_a_wait_long_before_its_deadline) {
  if (size() == 1) GTEST_SKIP() << "nobody to wait for";
  const auto began = std::chrono::steady_clock::now();
  try {
    run([&](Communicator& ranks) {
      ranks.barrier("begin");
      const auto witness = std::make_shared<FakeWitness>();
      ranks.set_witness(witness);
      witness->fails_at = began + 150ms;  // on all ranks at once, as news spreads
      if (ranks.rank() == size() - 1) return std::this_thread::sleep_for(500ms);
      try {
        ranks.barrier("never");
        ADD_FAILURE() << "the wait ended well";
      } catch (const Error& error) {
        EXPECT_EQ(error.problem(), "rank 7 on n3 is gone");
        EXPECT_EQ(error.rank, 7);
        EXPECT_THROW(ranks.barrier("next"), Error);
        throw;
      }
    });
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("rank 7 on n3 is gone"), std::string::npos) << error.what();
  }
  EXPECT_LT(std::chrono::steady_clock::now() - began, 15s);
}

TEST_P(CommunicatorContract,
       a_failure_known_before_an_operation_keeps_it_from_starting_also_in_split_groups) {
  if (size() == 1) GTEST_SKIP() << "a group of one waits for nobody";
  run([](Communicator& ranks) {
    const auto before = ranks.split(0, 0);
    const auto witness = std::make_shared<FakeWitness>();
    ranks.set_witness(witness);
    const auto after = ranks.split(0, 0);
    ranks.barrier("all are split");
    witness->fails_at = std::chrono::steady_clock::now();
    std::vector<float> values(3);
    EXPECT_THROW(ranks.start_all_reduce(values, "bucket 0"), Error);
    EXPECT_THROW(before->barrier("before"), Error);
    EXPECT_THROW(after->barrier("after"), Error);
  });
}

TEST_P(CommunicatorContract, a_wait_that_the_witness_extends_goes_on) {
  if (size() == 1) GTEST_SKIP() << "nobody to wait for";
  run(
      [this](Communicator& ranks) {
        ranks.barrier("begin");
        const auto witness = std::make_shared<FakeWitness>();
        witness->verdict.extension = 20s;
        ranks.set_witness(witness);
        if (ranks.rank() == size() - 1) std::this_thread::sleep_for(600ms);
        EXPECT_NO_THROW(ranks.barrier("slow"));
        if (ranks.rank() != size() - 1) {
          EXPECT_EQ(witness->judged, std::vector<int>{size() - 1});
        }
        ranks.set_witness(nullptr);
        ranks.barrier("end");
      },
      {30'000ms, 200ms});
}

TEST_P(CommunicatorContract, a_timeout_says_what_the_witness_knows_of_the_awaited_ranks) {
  if (size() == 1) GTEST_SKIP() << "nobody to wait for";
  const int late = size() - 1;
  expect_timeout(GetParam(), late, "loss", [late](Communicator& ranks) {
    const auto witness = std::make_shared<FakeWitness>();
    witness->verdict.text = fmt::format("rank {} on n17: phase train", late);
    ranks.set_witness(witness);
    try {
      ranks.barrier("loss");
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::timeout) {
        EXPECT_NE(error.why().find(witness->verdict.text), std::string::npos) << error.what();
      }
      throw;
    }
  });
}

}  // namespace
}  // namespace shelfcast::parallel
