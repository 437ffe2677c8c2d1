// Optimizers over flat buffers: AdamW, SGD and Adafactor, each clearing the gradients as it goes.
#pragma once

#include <torch/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "parallel/flat_buffers.h"
#include "parallel/sharding.h"
#include "trainer/recipe/config.h"

namespace shelfcast::trainer {

// What an optimizer remembers of every parameter: what a checkpoint stores under this name.
struct OptimizerState {
  std::string name;  // "first_moment"
  at::Tensor values;
  std::vector<parallel::FlatRange> ranges = {};  // by parameter; empty = flat as the buffers
  std::optional<std::int64_t> begin = {};  // of an optimizer's share: where `values` begin in the buffers
};

// What an optimizer is made for: the buffers, and its share where it has one.
struct OptimizerScope {
  parallel::FlatBuffers& buffers;
  std::optional<parallel::Slice> share;

  parallel::Slice elements() const { return share.value_or(parallel::Slice{0, buffers.elements()}); }
  // Zeros, one for each element of the scope.
  std::vector<OptimizerState> flat_states(const std::vector<std::string>& names) const;
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
  Optimizer(OptimizerConfig config, const OptimizerScope& scope, std::vector<OptimizerState> state);

  // step(), after steps() has gone up.
  virtual void update_all(double lr, double gradient_scale) = 0;

  OptimizerConfig config_;
  parallel::FlatBuffers& buffers_;
  parallel::Slice share_;  // elements of the buffers

 private:
  std::vector<OptimizerState> state_;
  std::int64_t steps_ = 0;
};

// adamw (Loshchilov and Hutter, 2019), adafactor (Shazeer and Stern, 2018; without a first moment) or sgd
// (momentum as in Sutskever et al., 2013, without Nesterov's look ahead; decay decoupled as in AdamW), as the
// recipe says. `buffers` must outlive it; on a device other than the CPU it is one of device_optimizers.h.
// With a `share` of their elements it updates, and remembers, only that (ZeRO stage 1: Rajbhandari et al.,
// 2020): the same numbers that the whole would have. The buffers hold the gradients of at least that share.
// adafactor, which looks at whole parameters, has no shares.
std::unique_ptr<Optimizer> make_optimizer(const OptimizerConfig& config, parallel::FlatBuffers& buffers,
                                          const std::optional<parallel::Slice>& share = std::nullopt);

}  // namespace shelfcast::trainer
