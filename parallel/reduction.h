// Reductions of several ranks' values, always in rank order, so that host back ends agree to the bit.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

#include "parallel/communicator.h"

namespace shelfcast::parallel {

template <typename T>
void reduce_onto(T* accumulator, const T* values, std::size_t count, ReduceOp op) {
  switch (op) {
    case ReduceOp::sum:
      for (std::size_t i = 0; i < count; ++i) accumulator[i] += values[i];
      return;
    case ReduceOp::min:
      for (std::size_t i = 0; i < count; ++i) accumulator[i] = std::min(accumulator[i], values[i]);
      return;
    case ReduceOp::max:
      for (std::size_t i = 0; i < count; ++i) accumulator[i] = std::max(accumulator[i], values[i]);
      return;
  }
}

// target[i] = sources[0][i] op sources[1][i] op ...; `target` may be one of the sources. Works in blocks that
// stay in the first-level cache: each source is read once.
template <typename T>
void reduce_in_rank_order(std::span<const T* const> sources, T* target, std::size_t count, ReduceOp op) {
  std::array<T, 1024> block;
  for (std::size_t begin = 0; begin < count; begin += block.size()) {
    const std::size_t length = std::min(block.size(), count - begin);
    std::copy_n(sources[0] + begin, length, block.data());
    for (const T* source : sources.subspan(1)) reduce_onto(block.data(), source + begin, length, op);
    std::copy_n(block.data(), length, target + begin);
  }
}

}  // namespace shelfcast::parallel
