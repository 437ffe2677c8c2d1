// One task of a sweep's job array, from inside the job.
#pragma once

#include "trainer/sweep/sweep_plan.h"
#include "trainer/sweep/sweep_state.h"

namespace shelfcast::trainer {

// Works off this task's share of a submission; near the time limit it lets its run save, and has itself
// requeued (with `slurm.stage`: by the batch script). Returns what became of the share. Throws Error(input)
// outside of a job array.
SweepEnding work_off_share(const SweepPlan& plan, std::int64_t submission);

}  // namespace shelfcast::trainer
