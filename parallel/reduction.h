// Reductions of several ranks' values, always in rank order, so that host back ends agree to the bit.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <type_traits>

#include "parallel/bfloat16.h"
#include "parallel/communicator.h"

namespace shelfcast::parallel {

// What values of T are added up in.
template <typename T>
using SumOf = std::conditional_t<std::is_same_v<T, BFloat16>, float, T>;

template <typename T>
SumOf<T> widened(T value) {
  if constexpr (std::is_same_v<T, BFloat16>) {
    return to_float(value);
  } else {
    return value;
  }
}

template <typename T>
T narrowed(SumOf<T> value) {
  if constexpr (std::is_same_v<T, BFloat16>) {
    return to_bfloat16(value);
  } else {
    return value;
  }
}

template <typename T>
void reduce_onto(SumOf<T>* accumulator, const T* values, std::size_t count, ReduceOp op) {
  switch (op) {
    case ReduceOp::sum:
      for (std::size_t i = 0; i < count; ++i) accumulator[i] += widened(values[i]);
      return;
    case ReduceOp::min:
      for (std::size_t i = 0; i < count; ++i) accumulator[i] = std::min(accumulator[i], widened(values[i]));
      return;
    case ReduceOp::max:
      for (std::size_t i = 0; i < count; ++i) accumulator[i] = std::max(accumulator[i], widened(values[i]));
      return;
  }
}

// target[i] = sources[0][i] op sources[1][i] op ... of each target; they may be sources. Works in blocks that
// stay in the first-level cache: each source is read once.
template <typename T>
void reduce_in_rank_order(std::span<const T* const> sources, std::span<T* const> targets, std::size_t count,
                          ReduceOp op) {
  std::array<SumOf<T>, 1024> block;
  for (std::size_t begin = 0; begin < count; begin += block.size()) {
    const std::size_t length = std::min(block.size(), count - begin);
    std::transform(sources[0] + begin, sources[0] + begin + length, block.data(), widened<T>);
    for (const T* source : sources.subspan(1)) reduce_onto(block.data(), source + begin, length, op);
    for (T* target : targets)
      std::transform(block.data(), block.data() + length, target + begin, narrowed<T>);
  }
}

template <typename T>
void reduce_in_rank_order(std::span<const T* const> sources, T* target, std::size_t count, ReduceOp op) {
  reduce_in_rank_order<T>(sources, std::span<T* const>(&target, 1), count, op);
}

}  // namespace shelfcast::parallel
