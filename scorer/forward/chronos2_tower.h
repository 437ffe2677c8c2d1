// Chronos-2's tokens, and Chronos-2 as the tower of a demand model: demand and what is read beside it are a
// group.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "scorer/forward/chronos2_encoder.h"
#include "scorer/forward/series_tower.h"

namespace shelfcast::scorer {

// One series as it is read: its past (NaN = missing, at most context_length steps) and what of its future is
// known (NaN = unknown, at most `patches` patches).
struct Chronos2Window {
  std::span<const float> context, future;
  Norm norm;
  std::int64_t patches = 1;  // of the future
};

// Appends tokens and input rows of [places in time, values, whether there are any], `stride` floats each (at
// least 3 * patch), zeros beyond: observed patches of the context, REG, all patches of the future.
void append_chronos2_tokens(const TowerConfig& config, const Chronos2Window& window, std::int64_t stride,
                            TokenBatch& tokens, Floats& rows);

// REG of "shared.weight"; empty without one. Throws Error(data).
std::vector<float> read_reg(const TowerConfig& config, Weights& weights);

class Chronos2Tower : public SeriesTower {
 public:
  // States for as many patches as reach the horizon. Throws Error(data).
  Chronos2Tower(const ModelConfig& config, const Ops& ops, Weights& weights);

  std::int64_t inputs() const override { return 3 * config_.patch; }
  std::int64_t states_of_series() const override { return patches_; }
  std::int64_t steps_of_state() const override { return config_.patch; }
  void append(std::span<const float> context, std::span<const float> future, Norm norm, std::int64_t stride,
              TokenBatch& tokens, Floats& rows) const override;
  const std::vector<float>& reg_token() const override { return reg_; }
  void states(TokenBatch& tokens, TowerScratch& scratch, Floats& states) const override;

 private:
  TowerConfig config_;
  std::int64_t patches_, members_;
  std::vector<float> reg_;
  Chronos2Encoder encoder_;
};

}  // namespace shelfcast::scorer
