// The training order as arithmetic: which window stands at which position of which epoch.
#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "data/batch.h"

namespace shelfcast::data {

// All windows an epoch draws from: every series with every origin in [first_origin, last_origin].
struct WindowSpace {
  std::int64_t series = 0;
  std::int64_t first_origin = 0, last_origin = -1;  // inclusive
  std::int64_t chunk_series = 64;                   // series per shuffle chunk; the last chunk may hold fewer
  std::int64_t superblock = 64;                     // chunks per super-block

  std::int64_t origins() const { return last_origin - first_origin + 1; }
  std::int64_t windows() const { return series * origins(); }
  std::int64_t chunks() const { return (series + chunk_series - 1) / chunk_series; }
};

// A super-block of one epoch: the chunks it holds (to be read together) and the positions it covers.
struct SuperBlock {
  std::int64_t index = 0;
  std::int64_t first_position = 0, windows = 0;
  std::vector<std::int64_t> chunks;  // in permuted order
};

// A pure function of (seed, epoch, position): no index, no state, O(1) memory per lookup. A keyed permutation of the
// chunks is cut into super-blocks of K chunks, and all windows inside a super-block are permuted with a key of their own.
class Sampler {
 public:
  // Throws Error(input) when the space is empty.
  Sampler(std::uint64_t seed, WindowSpace space);

  const WindowSpace& space() const { return space_; }
  std::int64_t windows_per_epoch() const { return space_.windows(); }
  std::int64_t superblocks() const;
  SuperBlock superblock(std::int64_t epoch, std::int64_t index) const;
  // Index of the super-block that holds `position` of `epoch`.
  std::int64_t superblock_of(std::int64_t epoch, std::int64_t position) const;
  // The window at `position` in [0, windows_per_epoch()).
  Window at(std::int64_t epoch, std::int64_t position) const;

 private:
  std::uint64_t seed_;
  WindowSpace space_;
};

}  // namespace shelfcast::data
