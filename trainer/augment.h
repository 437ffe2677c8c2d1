// Windows changed at random while they are trained on: jitter, scaling, window warp.
#pragma once

#include <cstdint>
#include <span>

#include "data/batch.h"
#include "trainer/config.h"

namespace shelfcast::trainer {

class Augment {
 public:
  Augment(const AugmentConfig& config, std::uint64_t seed, const data::FeatureSpec& spec);

  // Changes config.share of the windows, drawn by (seed, step, sample), whatever rank or micro-batch they are
  // in. What is not observed stays so. Columns stay as they are.
  void change(data::Batch& batch, std::int64_t step) const;

 private:
  AugmentConfig config_;
  std::uint64_t key_;
  std::int64_t context_, horizon_;
};

// The parts, on one window; NaN = not observed.

// Adds normal numbers of `deviation` times the standard deviation of what is observed, one a step.
void jitter(std::span<float> values, double deviation, std::uint64_t key);

// Stretches (factor 2) or compresses (factor 1/2) `length` steps from `first` on, and all of it back to the
// length it had, by linear interpolation; the ends stay where they are (Le Guennec et al., 2016). A step
// beside one that is not observed is not observed.
void warp_window(std::span<float> values, std::int64_t first, std::int64_t length, double factor);

}  // namespace shelfcast::trainer
