// Activation checkpointing: blocks whose insides are not kept for backward but computed once more (Chen et
// al., 2016). What is random in a block is drawn by keys, so the second time gives the same bits.
#pragma once

#include <torch/types.h>

#include <functional>

namespace shelfcast::models {

// While it lives and `on`, this thread's recomputed() keeps no activations of its blocks.
class RecomputeScope {
 public:
  explicit RecomputeScope(bool on);
  ~RecomputeScope();
  RecomputeScope(const RecomputeScope&) = delete;
  RecomputeScope& operator=(const RecomputeScope&) = delete;

 private:
  bool before_;
};

// While it lives, backward of what this thread's recomputed() makes leaves parameters alone: for gradients of
// inputs alone, which an inner backward would else add to the parameters', too.
class InputsAloneScope {
 public:
  InputsAloneScope();
  ~InputsAloneScope();
  InputsAloneScope(const InputsAloneScope&) = delete;
  InputsAloneScope& operator=(const InputsAloneScope&) = delete;

 private:
  bool before_;
};

// What a block makes of x and of what it reads beside it (undefined = nothing), which other blocks may read,
// too. It may use parameters, but no other tensor that gradients flow to; it is called again in backward,
// maybe on another thread, so that all it refers to must still be there.
using RecomputedBlock = std::function<at::Tensor(const at::Tensor& x, const at::Tensor& beside)>;

// block(x, beside). Inside a scope that is on only x and `beside` are kept, and backward calls the block
// again, in the precision and with the adapters' dropout that it had.
at::Tensor recomputed(const at::Tensor& x, const at::Tensor& beside, RecomputedBlock block);

}  // namespace shelfcast::models
