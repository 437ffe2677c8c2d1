#include "data/sampler.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace shelfcast::data {
namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

std::int64_t series_in_last_chunk(const WindowSpace& space) {
  return space.series - (space.chunks() - 1) * space.chunk_series;
}

}  // namespace

SuperBlockOrder::SuperBlockOrder(const WindowSpace& space, SuperBlock block, std::uint64_t key,
                                 std::uint64_t shots_key)
    : space_(space),
      block_(std::move(block)),
      replay_key_(mix(key, key_of("replay"))),
      shots_key_(shots_key),
      permutation_(key, static_cast<std::uint64_t>(block_.windows)),
      short_slot_(static_cast<std::int64_t>(block_.chunks.size())) {
  const auto last = std::find(block_.chunks.begin(), block_.chunks.end(), space_.chunks() - 1);
  if (last != block_.chunks.end()) short_slot_ = last - block_.chunks.begin();
}

// The windows of a series, numbered: first the new ones, or those of them that are shown, then those drawn
// from its past without putting back (more than there are begin again).
std::int64_t SuperBlockOrder::origin_of(std::int64_t series, std::int64_t number) const {
  const auto drawn = [series](std::uint64_t key, std::int64_t position, std::int64_t count) {
    const KeyedPermutation draw(mix(key, static_cast<std::uint64_t>(series)),
                                static_cast<std::uint64_t>(count));
    return static_cast<std::int64_t>(draw(static_cast<std::uint64_t>(position)));
  };
  const std::int64_t shown = space_.shown_origins();
  if (number < shown) {
    const std::int64_t all = space_.new_origins();
    return space_.first_origin + (shown == all ? number : drawn(shots_key_, number, all));
  }
  const std::int64_t old = space_.first_origin - space_.oldest_origin;
  return space_.oldest_origin + drawn(replay_key_, (number - shown) % old, old);
}

// Windows of a super-block are numbered series by series in slot order, and origin by origin inside a series.
PlacedWindow SuperBlockOrder::place(std::uint64_t index) const {
  const auto origins = static_cast<std::uint64_t>(space_.origins());
  PlacedWindow placed = place_series(static_cast<std::int64_t>(index / origins));
  placed.window.origin = origin_of(placed.window.series, static_cast<std::int64_t>(index % origins));
  return placed;
}

// Series are numbered in slot order.
PlacedWindow SuperBlockOrder::place_series(std::int64_t series) const {
  std::int64_t slot = series / space_.chunk_series;
  if (slot >= short_slot_) {
    // Behind the short chunk everything moved up by what it lacks.
    const std::int64_t in_short = series - short_slot_ * space_.chunk_series;
    const std::int64_t lacking = space_.chunk_series - series_in_last_chunk(space_);
    if (in_short >= series_in_last_chunk(space_)) series += lacking;
    slot = series / space_.chunk_series;
  }
  const std::int64_t in_chunk = series - slot * space_.chunk_series;
  const std::int64_t chunk = block_.chunks[static_cast<std::size_t>(slot)];
  return {static_cast<std::size_t>(slot), in_chunk, {chunk * space_.chunk_series + in_chunk, 0}};
}

PlacedWindow SuperBlockOrder::partner(const PlacedWindow& window, std::uint64_t key) const {
  const std::int64_t all = block_.windows / space_.origins(), slot = static_cast<std::int64_t>(window.slot);
  if (all < 2) return window;
  const std::int64_t lacking = space_.chunk_series - series_in_last_chunk(space_),
                     own = slot * space_.chunk_series + window.in_chunk - (slot > short_slot_ ? lacking : 0);
  auto other = static_cast<std::int64_t>(RandomStream(key).below(static_cast<std::uint64_t>(all - 1)));
  if (other >= own) ++other;
  PlacedWindow placed = place_series(other);
  placed.window.origin = window.window.origin;
  return placed;
}

Sampler::Sampler(std::uint64_t seed, WindowSpace space) : seed_(seed), space_(space) {
  SHELFCAST_ASSERT(space_.chunk_series >= 1 && space_.superblock >= 1 && space_.replayed >= 0 &&
                   space_.shots >= 0);
  SHELFCAST_ASSERT(space_.replayed == 0 || space_.oldest_origin < space_.first_origin);
  if (space_.series < 1) throw input_error("there are no series to draw windows from");
  if (space_.new_origins() < 1)
    throw input_error(
        "there is no window to train on",
        fmt::format("the first origin is step {}, the last step {}", space_.first_origin, space_.last_origin),
        "shorten data.horizon or data.min_context, or move data.train_until to a later date");
}

std::int64_t Sampler::superblocks() const { return ceil_div(space_.chunks(), space_.superblock); }

std::uint64_t Sampler::epoch_key(std::int64_t epoch) const {
  return mix(mix(seed_, key_of("sampler")), static_cast<std::uint64_t>(epoch));
}

std::int64_t Sampler::last_chunk_slot(std::int64_t epoch) const {
  RandomStream stream(mix(epoch_key(epoch), key_of("last chunk")));
  return static_cast<std::int64_t>(stream.below(static_cast<std::uint64_t>(space_.chunks())));
}

std::int64_t Sampler::first_position(std::int64_t epoch, std::int64_t index) const {
  const std::int64_t slot = std::min(index * space_.superblock, space_.chunks());
  std::int64_t series = slot * space_.chunk_series;
  if (last_chunk_slot(epoch) < slot) series -= space_.chunk_series - series_in_last_chunk(space_);
  return series * space_.origins();
}

SuperBlock Sampler::superblock(std::int64_t epoch, std::int64_t index) const {
  SHELFCAST_ASSERT(epoch >= 0 && index >= 0 && index < superblocks());
  SuperBlock block{index, first_position(epoch, index), 0, {}};
  block.windows = first_position(epoch, index + 1) - block.first_position;
  const std::int64_t first = index * space_.superblock;
  const std::int64_t end = std::min(first + space_.superblock, space_.chunks());
  // The chunks but the last are permuted, and the last one is put in at a slot drawn for the epoch.
  const std::int64_t last_slot = last_chunk_slot(epoch);
  const KeyedPermutation permutation(
      mix(epoch_key(epoch), key_of("chunks")),
      static_cast<std::uint64_t>(std::max<std::int64_t>(1, space_.chunks() - 1)));
  for (std::int64_t slot = first; slot < end; ++slot)
    block.chunks.push_back(slot == last_slot
                               ? space_.chunks() - 1
                               : static_cast<std::int64_t>(permutation(
                                     static_cast<std::uint64_t>(slot - (slot > last_slot ? 1 : 0)))));
  return block;
}

SuperBlockOrder Sampler::order(std::int64_t epoch, std::int64_t index) const {
  const std::uint64_t key = mix(mix(epoch_key(epoch), key_of("windows")), static_cast<std::uint64_t>(index));
  return {space_, superblock(epoch, index), key, mix(seed_, key_of("shots"))};
}

std::int64_t Sampler::superblock_of(std::int64_t epoch, std::int64_t position) const {
  SHELFCAST_ASSERT(position >= 0 && position < windows_per_epoch());
  // The short chunk moves later super-blocks forward by less than a super-block;
  // hence the guess is at most one too low.
  std::int64_t index = position / (space_.superblock * space_.chunk_series * space_.origins());
  while (first_position(epoch, index + 1) <= position) ++index;
  return index;
}

Window Sampler::at(std::int64_t epoch, std::int64_t position) const {
  return order(epoch, superblock_of(epoch, position)).at(position).window;
}

}  // namespace shelfcast::data
