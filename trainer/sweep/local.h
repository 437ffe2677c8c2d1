// A sweep on this machine, without Slurm.
#pragma once

#include "base/file_lock.h"
#include "trainer/sweep/sweep_plan.h"

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
// returns when all is done or when asked to leave. Throws Error(input) when jobs of this sweep are in Slurm's
// queue.
void run_locally(const SweepPlan& plan);

}  // namespace shelfcast::trainer
