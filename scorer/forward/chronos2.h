// A published Chronos-2 model: series with their past and known covariates to quantiles (docs/model.md,
// "Chronos-2").
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "scorer/forward/chronos2_encoder.h"
#include "scorer/forward/residual_block.h"

namespace shelfcast::scorer {

// Rows, each a series: one to forecast, a past covariate or one known ahead; all get a forecast. Does not own
// its numbers.
struct Chronos2Rows {
  std::int64_t rows = 0, steps = 0, known = 0;
  const float* context = nullptr;  // [rows, steps], NaN = missing; the tower looks at its last context_length
  const float* future = nullptr;   // [rows, known], NaN = unknown; known <= patches * patch
  // How many consecutive rows exchange information; they sum to `rows`.
  std::vector<std::int64_t> group_sizes;
};

// Scratch of one thread.
struct Chronos2Scratch {
  TokenBatch tokens;
  TowerScratch tower;
  Floats patches, inside, states, out;
  std::vector<Norm> norms;
};

// Immutable after construction; any number of threads, each with its own scratch. What a row gets depends on
// its own group only, bit for bit. Memory grows with the largest group, not with the number of groups.
class Chronos2 {
 public:
  // A folder with config.json and model.safetensors or its shards, in float32, bfloat16 or float16. Throws
  // Error(io) or Error(data) naming the file and the field or the missing, surplus or misshapen tensor.
  Chronos2(const std::filesystem::path& folder, const Ops& ops);

  const TowerConfig& config() const { return config_; }
  // Patches of the future that one forward can reach.
  std::int64_t most_patches() const { return config_.prediction_length / config_.patch; }
  // Quantiles [rows, config().quantiles, patches * patch] in the rows' own units, not sorted; `patches` from
  // 1 to most_patches().
  void forward(const Chronos2Rows& rows, std::int64_t patches, Chronos2Scratch& scratch,
               float* quantiles) const;

 private:
  Chronos2(const TowerConfig& config, const Ops& ops, Weights&& weights);

  void append(const Chronos2Rows& rows, std::int64_t row, std::int64_t patches,
              Chronos2Scratch& scratch) const;
  void embed(Chronos2Scratch& scratch) const;
  // Of the rows appended.
  void finish(std::span<const std::int64_t> group_sizes, std::int64_t patches, Chronos2Scratch& scratch,
              float* quantiles) const;

  TowerConfig config_;
  const Ops& ops_;
  ActivationFunction activation_;
  std::vector<float> reg_;  // [d_model]
  Chronos2Encoder encoder_;
  ResidualBlock input_, output_;
};

}  // namespace shelfcast::scorer
