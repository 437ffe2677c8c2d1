// A model's parameters as flat buffers, and what of them and of their optimizer a checkpoint holds.
#pragma once

#include <vector>

#include "models/demand_model.h"
#include "parallel/flat_buffers.h"
#include "trainer/checkpoint_writer.h"
#include "trainer/optimizer.h"
#include "trainer/trained_text.h"

namespace shelfcast::trainer {

// Views of the optimizer's state: what a checkpoint stores, and what resuming fills.
std::vector<FlatState> optimizer_state(const Optimizer& optimizer);

// The source of checkpoints of a model, and of the text encoder trained with it (null = none), whose
// parameters lie in `buffers`, the encoder's before the model's. All must outlive it.
CheckpointSource checkpoint_source(const models::DemandModel& model, const TrainedText* text,
                                   const parallel::FlatBuffers& buffers, const Optimizer& optimizer);

}  // namespace shelfcast::trainer
