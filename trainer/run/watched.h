// Work of all ranks under heartbeats: nobody waits for a rank that is lost, and everybody learns why.
#pragma once

#include <functional>

#include "parallel/communicator.h"
#include "trainer/recipe/config.h"

namespace shelfcast::trainer {

// Runs `body` with a heartbeat beside the communicator. What it throws is told to the other ranks, whose
// waits then throw it with this rank's name. Collective.
void run_watched(const ParallelConfig& config, parallel::Communicator& world,
                 const std::function<void()>& body);

}  // namespace shelfcast::trainer
