// A model's parameters as flat buffers, and what of them and of their optimizer a checkpoint holds.
#pragma once

#include <vector>

#include "models/demand_model.h"
#include "parallel/flat_buffers.h"
#include "trainer/checkpoint_writer.h"
#include "trainer/optimizer.h"
#include "trainer/weight_average.h"

namespace shelfcast::trainer {

// Views of what a checkpoint stores beside the model, and what resuming fills: the optimizer's state, and the
// weights themselves where the model's files hold their moving average.
std::vector<FlatState> stored_state(const Optimizer& optimizer, const parallel::FlatBuffers& buffers,
                                    const WeightAverage& average);

// The source of checkpoints of a model whose parameters lie in `buffers`. All four must outlive it.
CheckpointSource checkpoint_source(const models::DemandModel& model, const parallel::FlatBuffers& buffers,
                                   const Optimizer& optimizer, const WeightAverage& average);

}  // namespace shelfcast::trainer
