// The training order as arithmetic: which window stands at which position of which epoch.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "data/batch.h"

namespace shelfcast::data {

// All windows an epoch draws from: every series with every origin in [first_origin, last_origin], or with
// `shots` of them, drawn once for all epochs (few-shot training), and, against forgetting, `replayed` older
// ones of every series: origins drawn for this epoch from [oldest_origin, first_origin).
struct WindowSpace {
  std::int64_t series = 0;
  std::int64_t first_origin = 0, last_origin = -1;  // inclusive
  std::int64_t chunk_series = 64;                   // series per shuffle chunk; the last chunk may hold fewer
  std::int64_t superblock = 64;                     // chunks per super-block
  std::int64_t oldest_origin = 0, replayed = 0;
  std::int64_t shots = 0;  // 0 = all

  std::int64_t new_origins() const { return last_origin - first_origin + 1; }
  std::int64_t shown_origins() const { return shots > 0 ? std::min(shots, new_origins()) : new_origins(); }
  // The earliest that may be drawn.
  std::int64_t earliest_origin() const { return replayed > 0 ? oldest_origin : first_origin; }
  std::int64_t origins() const { return shown_origins() + replayed; }  // a series and epoch
  std::int64_t windows() const { return series * origins(); }
  std::int64_t chunks() const { return (series + chunk_series - 1) / chunk_series; }
};

// A super-block of one epoch: the chunks it holds (to be read together) and the positions it covers.
struct SuperBlock {
  std::int64_t index = 0;
  std::int64_t first_position = 0, windows = 0;
  std::vector<std::int64_t> chunks;  // in permuted order
};

// Where a window of a super-block lies: which of its chunks, the series inside that chunk, and the origin.
struct PlacedWindow {
  std::size_t slot = 0;       // index into SuperBlock::chunks
  std::int64_t in_chunk = 0;  // series counted from the chunk's first
  Window window;
};

// The order inside one super-block with everything that does not depend on the position worked out once.
// Copyable.
class SuperBlockOrder {
 public:
  // `key`: of the epoch and super-block; `shots_key`: of all epochs.
  SuperBlockOrder(const WindowSpace& space, SuperBlock block, std::uint64_t key, std::uint64_t shots_key);

  const SuperBlock& block() const { return block_; }
  // `position` counts from the epoch's start and must lie in the super-block.
  PlacedWindow at(std::int64_t position) const {
    return place(permutation_(static_cast<std::uint64_t>(position - block_.first_position)));
  }
  // Another series of the super-block at the same origin, drawn by `key`; the window itself where there is no
  // other.
  PlacedWindow partner(const PlacedWindow& window, std::uint64_t key) const;
  bool contains(std::int64_t position) const {
    return position >= block_.first_position && position < block_.first_position + block_.windows;
  }

 private:
  PlacedWindow place(std::uint64_t index) const;
  PlacedWindow place_series(std::int64_t number) const;
  std::int64_t origin_of(std::int64_t series, std::int64_t number) const;

  WindowSpace space_;
  SuperBlock block_;
  std::uint64_t replay_key_, shots_key_;
  KeyedPermutation permutation_;
  std::int64_t short_slot_;  // the slot of the corpus' last, shorter chunk; past the end when it is not here
};

// A pure function of (seed, epoch, position): no index, no state, O(1) memory per lookup. A keyed permutation
// of the chunks is cut into super-blocks of K chunks, and all windows inside a super-block are permuted with
// a key of their own.
class Sampler {
 public:
  // Throws Error(input) when the space is empty.
  Sampler(std::uint64_t seed, WindowSpace space);

  const WindowSpace& space() const { return space_; }
  std::int64_t windows_per_epoch() const { return space_.windows(); }
  std::int64_t superblocks() const;
  SuperBlock superblock(std::int64_t epoch, std::int64_t index) const;
  SuperBlockOrder order(std::int64_t epoch, std::int64_t index) const;
  // Index of the super-block that holds `position` of `epoch`.
  std::int64_t superblock_of(std::int64_t epoch, std::int64_t position) const;
  // The window at `position` in [0, windows_per_epoch()).
  Window at(std::int64_t epoch, std::int64_t position) const;

 private:
  // The slot, over the whole epoch, at which the last chunk of the corpus stands: knowing it makes every
  // position plain arithmetic although that chunk may be shorter than the others.
  std::int64_t last_chunk_slot(std::int64_t epoch) const;
  std::int64_t first_position(std::int64_t epoch, std::int64_t index) const;
  std::uint64_t epoch_key(std::int64_t epoch) const;

  std::uint64_t seed_;
  WindowSpace space_;
};

}  // namespace shelfcast::data
