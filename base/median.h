// The median of measured values.
#pragma once

#include <algorithm>
#include <vector>

namespace shelfcast {

// The mean of the two in the middle of an even number; `values` must not be empty.
inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : 0.5 * (values[middle - 1] + values[middle]);
}

}  // namespace shelfcast
