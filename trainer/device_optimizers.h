// The optimizers as LibTorch's operators: for devices other than the CPU.
#pragma once

#include <memory>

#include "trainer/optimizer.h"

namespace shelfcast::trainer {

// As make_optimizer, for buffers on any device; the same formulas, equal to rounding. AdamW is LibTorch's
// fused one: a kernel over all parameters of a learning rate and decay. Throws Error(input) for adafactor,
// which is written for the CPU.
std::unique_ptr<Optimizer> make_device_optimizer(const OptimizerConfig& config,
                                                 parallel::FlatBuffers& buffers,
                                                 const std::optional<parallel::Slice>& share);

}  // namespace shelfcast::trainer
