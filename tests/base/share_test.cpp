#include "base/share.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace shelfcast {
namespace {

TEST(Share, does_every_piece_once_on_any_number_of_threads) {
  for (const std::int64_t threads : {1, 2, 5, 40}) {
    std::vector<std::atomic<int>> done(17);
    share(done.size(), threads, [&](std::size_t i) { ++done[i]; });
    for (const std::atomic<int>& times : done) EXPECT_EQ(times, 1);
  }
  share(0, 3, [](std::size_t) { FAIL(); });
}

TEST(Share, an_exception_of_a_piece_is_thrown_on_and_ends_the_work) {
  std::atomic<int> done = 0;
  EXPECT_THROW(share(100'000, 3,
                     [&](std::size_t i) {
                       if (i == 5) throw std::runtime_error("piece 5");
                       ++done;
                     }),
               std::runtime_error);
  EXPECT_LT(done, 100'000);
}

}  // namespace
}  // namespace shelfcast
