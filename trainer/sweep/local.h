// A sweep on this machine, without Slurm.
#pragma once

#include "base/file_lock.h"
#include "trainer/sweep/sweep_plan.h"
#include "trainer/sweep/sweep_state.h"

namespace shelfcast::trainer {

// Held while a sweep is run on some machine without Slurm, and looked at before anything is submitted.
class LocalWork {
 public:
  // Throws Error(input) when another process works on this sweep.
  explicit LocalWork(const SweepPlan& plan);

 private:
  FileLock lock_;
};

// `shelfcast sweep --local`: runs everything that is not finished here, `local.at_once` runs at a time, and
// returns when all is done or when asked to leave. In the folder where the sweep was made, on the corpus it
// began with: throws Error(data) when that has changed, Error(input) when jobs of this sweep are in Slurm's
// queue.
SweepEnding run_locally(const SweepPlan& plan);

}  // namespace shelfcast::trainer
