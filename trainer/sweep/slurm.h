// What a sweep asks of Slurm: one job array a submission, what is in the queue, and to be put back into it.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "trainer/sweep/sweep_state.h"

namespace shelfcast::trainer {

// The batch script of a sweep: resources, set-up lines, and the program that works off a share.
std::string render_script(const SweepPlan& plan, const std::filesystem::path& program);

// Name of the jobs of a submission, which no other sweep of this user has.
std::string job_name(const SweepPlan& plan, std::int64_t submission);

// One call of sbatch: a job array of `tasks`. Returns its number. Throws Error(input) with Slurm's own words
// when it is rejected, or when there is no Slurm.
std::string sbatch(const SweepPlan& plan, std::int64_t submission, std::int64_t tasks);

// What squeue knows of a sweep's submissions, in one call.
struct Queue {
  std::map<std::int64_t, std::string> jobs;               // submission -> job
  std::set<std::pair<std::int64_t, std::int64_t>> tasks;  // (submission, task) waiting or running
  bool there = true;                                      // false: no Slurm on this machine
};
// Throws Error(communication) when Slurm does not answer: then nothing may be submitted.
Queue look_at_queue(const SweepPlan& plan, const std::set<std::int64_t>& submissions);

// The job this process is a task of: "42_7", empty outside of Slurm.
std::string own_job();
// Puts the task this process belongs to back into the queue; Slurm then ends it.
void requeue_own_job();

}  // namespace shelfcast::trainer
