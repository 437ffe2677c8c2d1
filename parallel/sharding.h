// Who does what part of a batch: pure arithmetic, the same on every rank.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/error.h"

namespace shelfcast::parallel {

// Positions [begin, end).
struct Slice {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  std::int64_t size() const { return end - begin; }
  bool empty() const { return begin == end; }
  bool operator==(const Slice&) const = default;
};

// One of `of` parts.
struct Part {
  int index = 0, of = 1;
};

// Part `index` of `total` things cut into `parts` contiguous slices whose sizes differ by at most one, larger
// ones first. Slices are empty where there are more parts than things.
inline Slice slice_of(std::int64_t total, int parts, int index) {
  SHELFCAST_ASSERT(total >= 0 && parts >= 1 && index >= 0 && index < parts);
  const std::int64_t size = total / parts, larger = total % parts;
  const std::int64_t begin = size * index + std::min<std::int64_t>(index, larger);
  return {begin, begin + size + (index < larger ? 1 : 0)};
}

inline Slice slice_of(std::int64_t total, Part part) { return slice_of(total, part.of, part.index); }

// `slice` cut from its beginning into micro-batches of `micro_batch`, the last one smaller if need be. Empty
// for an empty slice.
inline std::vector<Slice> micro_batches(Slice slice, std::int64_t micro_batch) {
  SHELFCAST_ASSERT(micro_batch >= 1);
  std::vector<Slice> cuts;
  for (std::int64_t begin = slice.begin; begin < slice.end; begin += micro_batch)
    cuts.push_back({begin, std::min(begin + micro_batch, slice.end)});
  return cuts;
}

// The most micro-batches any rank has when `total` windows go to `ranks` ranks: how often all of them must
// step together if each micro-batch communicates.
inline std::int64_t most_micro_batches(std::int64_t total, int ranks, std::int64_t micro_batch) {
  SHELFCAST_ASSERT(micro_batch >= 1);
  return (slice_of(total, ranks, 0).size() + micro_batch - 1) / micro_batch;
}

}  // namespace shelfcast::parallel
