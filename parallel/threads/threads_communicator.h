// Ranks that are threads of one process: for tests, dry runs and the thread sanitizer.
#pragma once

#include <memory>
#include <vector>

#include "parallel/communicator.h"
#include "parallel/threads/rendezvous.h"

namespace shelfcast::parallel {

// The communicators of ranks 0 ... ranks-1 of one run; hand one to each thread. Sums are taken in rank order.
std::vector<std::unique_ptr<Communicator>> make_threads_world(const std::shared_ptr<ThreadsRun>& run,
                                                              int ranks, Deadlines deadlines);

}  // namespace shelfcast::parallel
