#include "parallel/mpi/shared_memory.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/memory.h"

namespace shelfcast::parallel {
namespace {

std::span<const std::byte> bytes_at(const std::byte* memory, std::size_t count) { return {memory, count}; }

TEST(SharedMemory, what_one_writes_the_other_reads) {
  const auto one = SharedMemory::make(10'000), other = SharedMemory::make(10'000);
  ASSERT_TRUE(one && other);
  ASSERT_TRUE(one->map(7, other->address()));
  other->close();  // mapped is mapped
  EXPECT_EQ(one->of(3), nullptr);
  std::byte* const there = one->of(7);
  ASSERT_NE(there, nullptr);
  EXPECT_EQ(there[9'999], std::byte{0});
  other->own()[9'999] = std::byte{5};
  EXPECT_EQ(there[9'999], std::byte{5});
}

TEST(SharedMemory, takes_in_nothing_but_what_was_meant) {
  const auto one = SharedMemory::make(10'000), larger = SharedMemory::make(20'000),
             other = SharedMemory::make(10'000);
  ASSERT_TRUE(one && larger && other);
  EXPECT_FALSE(one->map(1, larger->address())) << "another size";
  // As where processes are numbered apart and the same path leads to another file.
  const std::string path_of_other = other->address().substr(0, other->address().find(' ')),
                    identity = one->address().substr(one->address().find(' '));
  EXPECT_FALSE(one->map(1, path_of_other + identity));
  EXPECT_FALSE(one->map(1, ""));
  EXPECT_FALSE(one->map(1, "/nowhere 1:2:10000"));
  const std::string before = other->address();
  other->close();
  EXPECT_FALSE(one->map(1, before)) << "closed";
  EXPECT_EQ(one->of(1), nullptr);
}

TEST(SharedMemory, knows_what_lies_in_it) {
  const auto memory = SharedMemory::make(100);
  ASSERT_TRUE(memory);
  const std::byte* const own = memory->own();
  EXPECT_EQ(memory->offset_of(bytes_at(own, 100)), 0U);
  EXPECT_EQ(memory->offset_of(bytes_at(own + 90, 10)), 90U);
  EXPECT_EQ(memory->offset_of(bytes_at(own + 90, 11)), std::nullopt);
  EXPECT_EQ(memory->offset_of(bytes_at(own + 90, 0)), std::nullopt);
  const std::byte elsewhere[10] = {};
  EXPECT_EQ(memory->offset_of(elsewhere), std::nullopt);
}

TEST(SharedMemory, of_others_is_not_counted_as_this_process_s) {
  constexpr std::size_t kBytes = 64'000'000;
  auto one = SharedMemory::make(kBytes), other = SharedMemory::make(kBytes);
  ASSERT_TRUE(one && other && one->map(1, other->address()));
  const auto resident = [] { return static_cast<double>(memory_use().resident_bytes); };
  const double before = resident();
  std::memset(one->of(1), 1, kBytes / 4 * 3);
  EXPECT_NEAR(resident() - before, kBytes / 4 * 3, 3e6);  // large pages may be touched beyond
  for (int repeat = 0; repeat < 2; ++repeat) one->touch(1, 0, kBytes / 2);
  EXPECT_NEAR(resident() - before, kBytes / 4, 3e6);
  one->touch(1, kBytes / 4, kBytes / 2);
  EXPECT_NEAR(resident(), before, 3e6);
  one.reset();
  EXPECT_NEAR(resident(), before, 3e6);
}

}  // namespace
}  // namespace shelfcast::parallel
