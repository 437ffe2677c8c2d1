// Measuring, for every benchmark.
#pragma once

#include <algorithm>
#include <vector>

#include "base/clock.h"

namespace shelfcast::bench {

// How long one call of `work` takes.
template <typename Work>
double seconds_of(const Work& work) {
  const auto began = Clock::now();
  work();
  return seconds_since(began);
}

// The upper one of an even number; `values` must not be empty.
inline double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

}  // namespace shelfcast::bench
