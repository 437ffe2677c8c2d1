// Finds out, over the first steps of a run, which size of buckets makes them shortest.
#pragma once

#include <cstdint>
#include <vector>

namespace shelfcast::parallel {

// Steps of different sizes take turns, so that a machine that becomes slower meanwhile is unfair to none; the
// first round, in which ranks connect and memory is touched, does not count. The size of the smallest median
// wins, of sizes within a hundredth of it the largest: fewer messages.
class BucketTuner {
 public:
  // Of gradients that take `gradient_bytes` in all: sizes that would make one bucket of them are tried once.
  explicit BucketTuner(std::int64_t gradient_bytes);

  bool done() const { return round_ == kRounds; }
  // To make the next step with; once done(), the winner.
  std::int64_t megabytes() const { return done() ? winner_ : sizes_[next_].megabytes; }
  // What that step took, the same number on every rank: the slowest one's.
  void add(double seconds);

 private:
  static constexpr int kRounds = 6;
  struct Size {
    std::int64_t megabytes;
    std::vector<double> seconds = {};
  };
  void choose();

  std::vector<Size> sizes_;
  std::size_t next_ = 0;
  int round_ = 0;
  std::int64_t winner_ = 0;
};

}  // namespace shelfcast::parallel
