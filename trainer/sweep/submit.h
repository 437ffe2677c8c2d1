// Hands what waits to Slurm, exactly once.
#pragma once

#include <vector>

#include "trainer/sweep/ledger.h"

namespace shelfcast::trainer {

// One call of sbatch for these segments, noted before and after, so that whoever looks next knows of it
// whatever happens in between. Throws Error(input) when Slurm rejects it (noted, too).
void submit_segments(const SweepPlan& plan, LedgerSession& session, const std::vector<Segment>& segments);

// `shelfcast sweep --submit`: stores the plan, and submits what is neither finished nor in the queue, failed
// runs included. Throws what store_plan() and submit_segments() throw, and Error(communication) when Slurm
// does not say what is in the queue.
void submit(const SweepPlan& plan);

// The segments that nobody works on: decided on, unfinished, and with no task in the queue.
std::vector<Segment> idle_segments(const SweepPlan& plan, LedgerSession& session);

}  // namespace shelfcast::trainer
