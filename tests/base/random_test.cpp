#include "base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/error.h"

namespace shelfcast {
namespace {

using Block = std::array<std::uint32_t, 4>;

// The known-answer vectors published with Random123 (kat_vectors, philox4x32 10).
TEST(Philox, reproduces_published_answers) {
  EXPECT_EQ(philox(0, {0, 0, 0, 0}), (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox(0xffffffffffffffff, {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}),
            (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox(0x299f31d0a4093822, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Keys, differ_by_name_and_order) {
  EXPECT_NE(key_of("encoder.0.dropout"), key_of("encoder.1.dropout"));
  EXPECT_NE(mix(1, 2), mix(2, 1));
  EXPECT_NE(mix(0, 0), 0u);
}

struct Moments {
  double mean = 0, variance = 0;
};

template <typename Draw>
Moments moments_of(Draw draw, int count = 200'000) {
  double sum = 0, squares = 0;
  for (int i = 0; i < count; ++i) {
    const double x = draw();
    sum += x;
    squares += x * x;
  }
  return {sum / count, squares / count - sum / count * (sum / count)};
}

TEST(RandomStream, repeats_from_the_same_key_and_counter) {
  RandomStream a(5, 100), b(5, 100), c(6, 100);
  const std::uint32_t first = a.bits();
  EXPECT_EQ(first, b.bits());
  EXPECT_NE(first, c.bits());
}

TEST(RandomStream, uniform_stays_inside_and_has_the_right_moments) {
  RandomStream stream(1);
  const Moments m = moments_of([&] {
    const double u = stream.uniform();
    EXPECT_GT(u, 0.0);
    EXPECT_LT(u, 1.0);
    return u;
  });
  EXPECT_NEAR(m.mean, 0.5, 0.003);
  EXPECT_NEAR(m.variance, 1.0 / 12.0, 0.002);
}

TEST(RandomStream, below_reaches_every_value_equally) {
  RandomStream stream(2);
  std::array<int, 7> counts{};
  for (int i = 0; i < 70'000; ++i) ++counts.at(stream.below(7));
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 500);
}

TEST(RandomStream, normal_has_the_right_moments) {
  RandomStream stream(3);
  const Moments m = moments_of([&] { return stream.normal(); });
  EXPECT_NEAR(m.mean, 0.0, 0.01);
  EXPECT_NEAR(m.variance, 1.0, 0.02);
}

// Mean and variance of gamma(shape, 1) are both `shape`; those of Poisson both `mean`. Bounds are five
// standard errors.
TEST(RandomStream, gamma_has_the_right_moments) {
  for (const double shape : {0.2, 1.0, 3.5, 40.0}) {
    RandomStream stream(4);
    const Moments m = moments_of([&] { return stream.gamma(shape); });
    EXPECT_NEAR(m.mean, shape, 5 * std::sqrt(shape / 200'000)) << shape;
    EXPECT_NEAR(m.variance / shape, 1.0, 5 * std::sqrt((2 + 6 / shape) / 200'000)) << shape;
  }
}

TEST(RandomStream, poisson_has_the_right_moments_on_both_sides_of_the_change_of_method) {
  for (const double mean : {0.1, 1.0, 9.9, 10.1, 300.0, 1e6}) {
    RandomStream stream(5);
    const Moments m = moments_of([&] { return static_cast<double>(stream.poisson(mean)); });
    EXPECT_NEAR(m.mean, mean, 5 * std::sqrt(mean / 200'000)) << mean;
    EXPECT_NEAR(m.variance / mean, 1.0, 5 * std::sqrt((2 + 1 / mean) / 200'000)) << mean;
  }
  EXPECT_EQ(RandomStream(1).poisson(0.0), 0);
}

TEST(KeyedPermutation, is_a_bijection_for_every_size_up_to_2000) {
  for (std::uint64_t size = 1; size <= 2000; ++size) {
    const KeyedPermutation permutation(size * 31, size);
    std::vector<bool> seen(size, false);
    for (std::uint64_t i = 0; i < size; ++i) {
      const std::uint64_t element = permutation(i);
      ASSERT_LT(element, size);
      ASSERT_FALSE(seen[element]) << "size " << size;
      seen[element] = true;
    }
  }
}

TEST(KeyedPermutation, differs_by_key_and_from_the_identity) {
  const KeyedPermutation a(1, 1000), b(2, 1000);
  int equal = 0, fixed = 0;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    equal += a(i) == b(i);
    fixed += a(i) == i;
  }
  // Two random permutations agree in one place on average.
  EXPECT_LT(equal, 10);
  EXPECT_LT(fixed, 10);
}

TEST(KeyedPermutation, spreads_first_elements_evenly_over_keys) {
  std::array<int, 5> counts{};
  for (std::uint64_t key = 0; key < 20'000; ++key) ++counts.at(KeyedPermutation(key, 5)(0));
  for (const int count : counts) EXPECT_NEAR(count, 4'000, 300);
}

TEST(KeyedPermutation, handles_sizes_that_no_table_could) {
  for (const std::uint64_t size : {std::uint64_t{1} << 40, (std::uint64_t{1} << 62) + 1, ~std::uint64_t{0}}) {
    const KeyedPermutation permutation(7, size);
    EXPECT_LT(permutation(0), size);
    EXPECT_LT(permutation(size - 1), size);
    EXPECT_NE(permutation(0), permutation(size - 1));
  }
}

TEST(KeyedPermutation, refuses_positions_outside) {
  EXPECT_THROW(KeyedPermutation(1, 10)(10), Error);
  EXPECT_THROW(KeyedPermutation(1, 0), Error);
}

}  // namespace
}  // namespace shelfcast
