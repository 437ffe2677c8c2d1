// A model's parameters as flat buffers, and what of them and of their optimizer a checkpoint holds.
#pragma once

#include <vector>

#include "models/demand_model.h"
#include "parallel/flat_buffers.h"
#include "trainer/checkpoint_writer.h"
#include "trainer/optimizer.h"

namespace shelfcast::trainer {

// Views of the optimizer's state: what a checkpoint stores, and what resuming fills.
std::vector<FlatState> optimizer_state(const Optimizer& optimizer);

// The source of checkpoints of a model whose parameters lie in `buffers`. All three must outlive it.
CheckpointSource checkpoint_source(const models::DemandModel& model, const parallel::FlatBuffers& buffers,
                                   const Optimizer& optimizer);

}  // namespace shelfcast::trainer
