// Optimizers over flat buffers: AdamW, SGD and Adafactor, each clearing the gradients as it goes.
#pragma once

#include <torch/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "parallel/flat_buffers.h"
#include "parallel/sharding.h"
#include "trainer/config.h"

namespace shelfcast::trainer {

// What an optimizer remembers of every parameter: what a checkpoint stores under this name.
struct OptimizerState {
  std::string name;  // "first_moment"
  at::Tensor values;
  std::vector<parallel::FlatRange> ranges = {};  // by parameter; empty = flat as the buffers
  std::optional<std::int64_t> begin = {};  // of an optimizer's share: where `values` begin in the buffers
};

// Updates the parameters of the buffers it was made for: all, or a share of their elements. One thread calls
// it; it uses the threads of an operation.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // One update at learning rate `lr`; clears the gradients, those beyond its share, too. Every gradient is
  // first multiplied by `gradient_scale` (1 / global weight of valid targets, times the clip factor).
  void step(double lr, double gradient_scale);

  // Writable, for resume.
  const std::vector<OptimizerState>& state() const { return state_; }
  std::int64_t steps() const { return steps_; }
  void set_steps(std::int64_t steps) { steps_ = steps; }

 protected:
  // What is updated at a time.
  enum class Pieces { of_a_cache, whole_parameters };
  Optimizer(OptimizerConfig config, parallel::FlatBuffers& buffers, parallel::Slice share,
            std::vector<OptimizerState> state, Pieces pieces = Pieces::of_a_cache);

  // Updates elements [offset, offset + elements), all of one range. Called from several threads on different
  // pieces.
  virtual void update(const parallel::FlatRange& range, std::int64_t offset, std::int64_t elements, double lr,
                      double gradient_scale) = 0;

  OptimizerConfig config_;
  float* values_;
  float* gradients_;
  parallel::Slice share_;  // elements of the buffers

 private:
  // What one thread updates at a time; never across ranges.
  struct Piece {
    std::size_t range;
    std::int64_t offset, elements;
  };

  parallel::FlatBuffers& buffers_;
  std::vector<Piece> pieces_;
  std::vector<OptimizerState> state_;
  std::int64_t steps_ = 0;
};

// adamw (Loshchilov and Hutter, 2019), adafactor (Shazeer and Stern, 2018; without a first moment) or sgd
// (momentum as in Sutskever et al., 2013, without Nesterov's look ahead; decay decoupled as in AdamW), as the
// recipe says. `buffers` must outlive it. With a `share` of their elements it updates, and remembers, only
// that (ZeRO stage 1: Rajbhandari et al., 2020): the same numbers that the whole would have. adafactor, which
// looks at whole parameters, has no shares.
std::unique_ptr<Optimizer> make_optimizer(const OptimizerConfig& config, parallel::FlatBuffers& buffers,
                                          const std::optional<parallel::Slice>& share = std::nullopt);

}  // namespace shelfcast::trainer
