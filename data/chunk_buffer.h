// The super-blocks in memory: the one windows are drawn from, and the next one while it is being read.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "data/batch.h"
#include "data/sampler.h"

namespace shelfcast::data {

// Memory holds two super-blocks; it is allocated once and used again. Belongs to the thread that reads.
class ChunkBuffer {
 public:
  // Reads steps [first_step, first_step + steps) of `columns` (indices of the corpus' covariates).
  ChunkBuffer(Corpus& corpus, const WindowSpace& space, std::vector<std::size_t> columns,
              std::int64_t first_step, std::int64_t steps);

  // Makes super-block `order` the current one, reading what of it was not prefetched.
  void enter(const Sampler& sampler, std::int64_t epoch, std::int64_t index);
  // Says which super-block comes after the current one.
  void expect(const Sampler& sampler, std::int64_t epoch, std::int64_t index);
  // Reads chunks of the expected super-block until `share` (0 to 1) of it is there.
  void prefetch(double share);

  bool holds(std::int64_t epoch, std::int64_t position) const {
    return current_.order && current_.epoch == epoch && current_.order->contains(position);
  }
  const SuperBlockOrder& order() const { return *current_.order; }
  const PanelBlock& chunk(std::size_t slot) const { return current_.chunks[slot]; }

 private:
  struct Side {
    std::int64_t epoch = -1;
    std::optional<SuperBlockOrder> order;
    std::vector<PanelBlock> chunks;
    std::size_t read = 0;  // chunks [0, read) are there
  };
  void assign(Side& side, const Sampler& sampler, std::int64_t epoch, std::int64_t index);
  void read_until(Side& side, std::size_t count);

  Corpus& corpus_;
  WindowSpace space_;
  std::vector<std::size_t> columns_;
  std::int64_t first_step_, steps_;
  Side current_, next_;
};

}  // namespace shelfcast::data
