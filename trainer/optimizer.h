// AdamW over flat buffers.
#pragma once

#include <torch/types.h>

#include <vector>

#include "parallel/flat_buffers.h"
#include "trainer/config.h"

namespace shelfcast::trainer {

// AdamW (Loshchilov and Hutter, 2019) in one pass over the flat buffers: scales the gradient, updates moments
// and values and clears the gradient for the next step.
class AdamW {
 public:
  AdamW(const OptimizerConfig& config, parallel::FlatBuffers& buffers);

  // One update at learning rate `lr`. Every gradient is first multiplied by `gradient_scale` (1 / global
  // weight of valid targets, times the clip factor).
  void step(double lr, double gradient_scale);

  // Moments, flat as the buffers: what a checkpoint stores. Writable for resume.
  at::Tensor first_moment() const { return first_moment_; }
  at::Tensor second_moment() const { return second_moment_; }
  std::int64_t steps() const { return steps_; }
  void set_steps(std::int64_t steps) { steps_ = steps; }

 private:
  // What one thread updates at a time; never across ranges.
  struct Piece {
    std::size_t range;
    std::int64_t offset, elements;
  };

  OptimizerConfig config_;
  parallel::FlatBuffers& buffers_;
  std::vector<Piece> pieces_;
  at::Tensor first_moment_, second_moment_;
  std::int64_t steps_ = 0;
};

}  // namespace shelfcast::trainer
