#include "parallel/sum_of_squares.h"

#include <algorithm>
#include <vector>

namespace shelfcast::parallel {
namespace {

constexpr std::int64_t kBlock = 16384;
constexpr int kLanes = 16;  // sums side by side, so that the compiler can keep them in vector registers

double block_sum(const float* values, std::int64_t count) {
  double lanes[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const double value = values[i + lane];
      lanes[lane] += value * value;
    }
  }
  for (; i < count; ++i) lanes[0] += static_cast<double>(values[i]) * values[i];
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

}  // namespace

double sum_of_squares(const float* values, std::int64_t count) {
  const std::int64_t blocks = (count + kBlock - 1) / kBlock;
  std::vector<double> sums(static_cast<std::size_t>(blocks));
#pragma omp parallel for schedule(static) if (blocks > 4)
  for (std::int64_t block = 0; block < blocks; ++block) {
    const std::int64_t first = block * kBlock;
    sums[static_cast<std::size_t>(block)] = block_sum(values + first, std::min(kBlock, count - first));
  }
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

}  // namespace shelfcast::parallel
