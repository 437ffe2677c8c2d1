// Windows changed at random while they are trained on: mixing, jitter, scaling, window warp.
#pragma once

#include <cstdint>
#include <span>

#include "data/batch.h"
#include "trainer/recipe/config.h"

namespace shelfcast::trainer {

class Augment {
 public:
  Augment(const AugmentConfig& config, std::uint64_t seed, const data::FeatureSpec& spec);

  // Changes config.share of the windows, drawn by (seed, step, sample), whatever rank or micro-batch they are
  // in. What is not observed stays so. Columns stay as they are, but for what a partner adds. `partners`: row
  // by row, read when windows are mixed.
  void change(data::Batch& batch, std::int64_t step, const data::Batch& partners) const;

 private:
  void mix_in(data::Batch& batch, const data::Batch& partners, std::int64_t row, std::uint64_t key) const;

  AugmentConfig config_;
  std::uint64_t key_;
  std::int64_t context_, horizon_, past_, known_;  // steps; numbers of numeric columns
};

// What keys the loader's draw of partners.
std::uint64_t partner_key(std::uint64_t seed);

// The parts, on one window; NaN = not observed.

// values = share * values + part * others.
void mix_values(std::span<float> values, std::span<const float> others, double share, double part);

// Sales with the bounds where they were cut (target NaN, bound observed): a sum of parts of which one is only
// known from below is known from below.
void mix_targets(std::span<float> targets, std::span<float> bounds, std::span<const float> other_targets,
                 std::span<const float> other_bounds, double share, double part);

// Adds normal numbers of `deviation` times the standard deviation of what is observed, one a step.
void jitter(std::span<float> values, double deviation, std::uint64_t key);

// Stretches (factor 2) or compresses (factor 1/2) `length` steps from `first` on, and all of it back to the
// length it had, by linear interpolation; the ends stay where they are (Le Guennec et al., 2016). A step
// beside one that is not observed is not observed.
void warp_window(std::span<float> values, std::int64_t first, std::int64_t length, double factor);

}  // namespace shelfcast::trainer
