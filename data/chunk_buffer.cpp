#include "data/chunk_buffer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace shelfcast::data {

ChunkBuffer::ChunkBuffer(Corpus& corpus, const WindowSpace& space, std::vector<std::size_t> columns,
                         std::int64_t first_step, std::int64_t steps)
    : corpus_(corpus), space_(space), columns_(std::move(columns)), first_step_(first_step), steps_(steps) {
  const auto slots = static_cast<std::size_t>(std::min(space_.superblock, space_.chunks()));
  current_.chunks.resize(slots);
  next_.chunks.resize(slots);
}

void ChunkBuffer::assign(Side& side, const Sampler& sampler, std::int64_t epoch, std::int64_t index) {
  if (side.order && side.epoch == epoch && side.order->block().index == index) return;
  side.epoch = epoch;
  side.order.emplace(sampler.order(epoch, index));
  side.read = 0;
}

void ChunkBuffer::read_until(Side& side, std::size_t count) {
  const std::vector<std::int64_t>& chunks = side.order->block().chunks;
  for (; side.read < std::min(count, chunks.size()); ++side.read) {
    const std::int64_t first = chunks[side.read] * space_.chunk_series;
    corpus_.read(first, std::min(space_.chunk_series, space_.series - first), first_step_, steps_, columns_,
                 side.chunks[side.read]);
  }
}

void ChunkBuffer::enter(const Sampler& sampler, std::int64_t epoch, std::int64_t index) {
  std::swap(current_, next_);
  assign(current_, sampler, epoch, index);
  read_until(current_, current_.order->block().chunks.size());
}

void ChunkBuffer::expect(const Sampler& sampler, std::int64_t epoch, std::int64_t index) {
  assign(next_, sampler, epoch, index);
}

void ChunkBuffer::prefetch(double share) {
  if (!next_.order) return;
  const double chunks = static_cast<double>(next_.order->block().chunks.size());
  read_until(next_, static_cast<std::size_t>(std::ceil(std::clamp(share, 0.0, 1.0) * chunks)));
}

}  // namespace shelfcast::data
