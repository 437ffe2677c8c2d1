// What every series tower does: from the demand of the context to tokens, and from those to the states of a
// series (docs/model.md, steps 3 to 8). Patch embedding and output block stand around it, in whoever calls.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "scorer/forward/instance_norm.h"
#include "scorer/forward/model_config.h"
#include "scorer/forward/ops.h"
#include "scorer/forward/token_batch.h"
#include "scorer/forward/weights.h"

namespace shelfcast::scorer {

// Scratch of one thread; grows to the largest batch and stays.
struct TowerScratch {
  Floats normed, qkv, attended, hidden, gate, scores, query, pooled, y, gathered;
  TokenBatch ends;
  std::vector<std::int64_t> rows, windows, cursors;
};

// Immutable after construction; any number of threads, each with its own scratch.
class SeriesTower {
 public:
  virtual ~SeriesTower() = default;

  // Numbers in a token's input row that demand fills.
  virtual std::int64_t inputs() const = 0;
  // States of a series: one for all steps ahead, or one for each patch of them.
  virtual std::int64_t states_of_series() const = 0;
  // Steps ahead that a state speaks of: rows of the output block are [quantiles, steps_of_state()].
  virtual std::int64_t steps_of_state() const = 0;
  // Appends a series' tokens and an input row for each, `stride` floats (at least inputs()), zeros beyond
  // demand's. `context`: NaN = not observed; `future`: what is known of the steps ahead (NaN = unknown),
  // which only towers with groups read. Positions below the number of patches are those of the context.
  virtual void append(std::span<const float> context, std::span<const float> future, Norm norm,
                      std::int64_t stride, TokenBatch& tokens, Floats& rows) const = 0;
  // The embedding of REG, [d_model].
  virtual const std::vector<float>& reg_token() const = 0;
  // Final states [forecasts, states_of_series(), d_model] of embedded tokens, of the first series of each
  // group; tokens.x is overwritten.
  virtual void states(TokenBatch& tokens, TowerScratch& scratch, Floats& states) const = 0;
};

// The tower of this architecture; takes its tensors from `weights`. Throws Error(data).
std::unique_ptr<SeriesTower> make_tower(const ModelConfig& config, const Ops& ops, Weights& weights);

}  // namespace shelfcast::scorer
