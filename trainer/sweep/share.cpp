#include "trainer/sweep/share.h"

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "trainer/sweep/process.h"
#include "trainer/sweep/slurm.h"
#include "trainer/sweep/sweep_worker.h"

namespace shelfcast::trainer {
namespace {

std::vector<std::string> launcher_of(const SlurmConfig& slurm) {
  if (!slurm.launcher.empty()) return words(slurm.launcher);
  if (slurm.nodes * slurm.tasks_per_node == 1) return {};
  return {"srun", "--mpi=pmix"};
}

// A job that was cancelled and still comes back was preempted: what it left is its again.
void take_up(const SweepPlan& plan, Worker worker) {
  LedgerSession session(plan);
  for (const Segment& segment : session.state().work_of(worker)) {
    const RunRecord& run = session.state().runs()[segment.run];
    if (run.state == RunRecord::State::stopped && run.worker == worker && run.error == kCancelled)
      session.add({{"event", "again"}, {"run", plan.runs[segment.run].id}});
  }
}

// What keeps the whole share from being trained is the failure of each of its runs: --status shows it.
void fail_share(const SweepPlan& plan, Worker worker, const std::string& why) {
  LedgerSession session(plan);
  for (const Segment& segment : session.state().share_of(worker))
    if (session.state().unfinished(segment.run))
      session.add({{"event", "failed"},
                   {"run", plan.runs[segment.run].id},
                   {"rung", segment.rung},
                   {"submission", worker.submission},
                   {"task", worker.task},
                   {"error", why},
                   {"final", true}});
}

}  // namespace

SweepEnding work_off_share(const SweepPlan& plan, std::int64_t submission) {
  const char* task = std::getenv("SLURM_ARRAY_TASK_ID");
  if (task == nullptr)
    throw input_error("--task is for the job array of a sweep", "SLURM_ARRAY_TASK_ID is not set",
                      "use --submit or --local");
  const Worker worker{submission, std::atoll(task)};
  const LeaveSignals signals;
  log::all("task {} of {} on {}: submission {} of {}", worker.task, own_job(), log::identity().host,
           submission, plan.dir.string());
  try {
    check_corpus(plan);
  } catch (const std::exception& error) {
    fail_share(plan, worker, error.what());
    throw;
  }
  take_up(plan, worker);
  SweepWorker(plan, worker, launcher_of(plan.slurm), own_job()).work();
  if (LeaveSignals::requested() == LeaveRequest::time_limit) {
    if (plan.slurm.stage.empty()) requeue_own_job();  // else the script does, when it has cleaned up
    return SweepEnding::done;                         // of this start; the next one goes on
  }
  const SweepState state = read_state(plan);
  return ending_of(state, state.work_of(worker));
}

}  // namespace shelfcast::trainer
