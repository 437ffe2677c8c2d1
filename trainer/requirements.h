// What a run would need, told before anything is spent: `shelfcast train RECIPE --check --ranks 64`.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "parallel/flat_range.h"
#include "parallel/world.h"
#include "trainer/cost_model.h"
#include "trainer/recipe/recipe.h"

namespace shelfcast::trainer {

struct Requirements {
  int ranks = 1;
  int sharers = 1;  // among whom parallel.zero shares out
  // Work.
  std::string unit = "windows";  // what batches count
  std::int64_t training_windows = 0, validation_windows = 0;
  std::int64_t steps_per_epoch = 0;
  std::int64_t windows_per_rank = 0;  // of a step, on the rank with most
  std::int64_t micro_batches = 0;     // of a step
  double bytes_read_per_epoch = 0;    // by each rank, at most
  // Model.
  std::int64_t factored = 0;               // numbers that Adafactor keeps of the trainable ones
  std::int64_t trainable = 0, frozen = 0;  // parameters
  std::vector<std::pair<std::string, std::vector<std::int64_t>>> shapes;  // of one micro-batch
  std::vector<parallel::FlatRange> ranges;  // the trained ones as they lie in the flat buffers
  std::int64_t elements = 0;                // of these
  double micro_batch_seconds = 0;           // forward and backward of a micro-batch of the recipe's size
  std::string measured_on;                  // the device that they were taken on
  // Memory of rank 0, which needs most: bytes by cause, and what they add up to.
  std::vector<std::pair<std::string, std::int64_t>> memory;
  std::int64_t memory_total() const;
};

// Makes the plan and the model as training would and runs forward and backward on two small micro-batches,
// from which the memory of the recipe's own follows: it grows in proportion. A micro-batch is timed on
// `device`, on a GPU a whole one. Of `assumed` it takes how many ranks a node has. Leaves no folder. Throws
// what training would throw for this recipe on `ranks` ranks.
Requirements estimate_requirements(const Recipe& recipe, int ranks, const CostAssumptions& assumed = {},
                                   const parallel::RankDevice& device = {});

// What a run of `recipe` costs follows from.
CostInputs cost_inputs(const Requirements& needs, const Recipe& recipe);

// The same for people.
std::string describe(const Requirements& needs, const Recipe& recipe);

}  // namespace shelfcast::trainer
