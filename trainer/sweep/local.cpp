#include "trainer/sweep/local.h"

#include <atomic>
#include <exception>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "trainer/sweep/process.h"
#include "trainer/sweep/slurm.h"
#include "trainer/sweep/submit.h"
#include "trainer/sweep/sweep_worker.h"
#include "trainer/sweep/table.h"

namespace shelfcast::trainer {
namespace {

FileLock lock_or_explain(const SweepPlan& plan) try {
  return FileLock(plan.dir / "local.lock", std::chrono::milliseconds(0));
} catch (const Error& error) {
  if (error.kind() != ErrorKind::timeout) throw;
  throw input_error(fmt::format("the sweep {} is being run by another process", plan.dir.string()),
                    "its local.lock is held", "wait for it or end it");
}

// What failed, was stopped, or lost its worker waits again; nobody else works on this sweep.
void free_idle(const SweepPlan& plan, LedgerSession& session) {
  const std::vector<Segment> idle = idle_segments(plan, session);
  std::size_t unfinished = 0;
  for (std::size_t i = 0; i < plan.runs.size(); ++i) unfinished += session.state().unfinished(i);
  if (idle.size() < unfinished)
    throw input_error(
        fmt::format("{} runs of {} are in Slurm's queue", unfinished - idle.size(), plan.dir.string()), "",
        "wait for them, or scancel them");
  for (const Segment& segment : idle)
    if (session.state().runs()[segment.run].state != RunRecord::State::waiting)
      session.add({{"event", "again"}, {"run", plan.runs[segment.run].id}});
}

}  // namespace

LocalWork::LocalWork(const SweepPlan& plan) : lock_(lock_or_explain(plan)) {}

SweepEnding run_locally(const SweepPlan& plan) {
  // As tasks of Slurm do: the recipe's relative paths begin where the sweep was made.
  std::error_code failed_to_enter;
  std::filesystem::current_path(plan.working_dir, failed_to_enter);
  if (failed_to_enter)
    throw io_error(fmt::format("cannot enter {}, where the sweep was made", plan.working_dir.string()),
                   failed_to_enter.value());
  check_corpus(plan);
  std::filesystem::create_directories(plan.dir);
  const LocalWork alone(plan);
  {
    const FileLock lock(sweep_lock(plan.dir));
    store_plan(plan);
  }
  {
    LedgerSession session(plan);
    free_idle(plan, session);
    decide_all(plan, session);
  }
  const LeaveSignals signals;
  std::atomic<std::int64_t> busy{plan.local.at_once};
  std::mutex mutex;
  std::exception_ptr failed;  // the first one; under `mutex`
  const auto body = [&](std::int64_t task) {
    SweepWorker worker(plan, {0, task}, words(plan.local.launcher), "");
    // Those who work may make more work: the last result of a rung opens the next.
    while (!LeaveSignals::any()) {
      worker.work();
      if (--busy == 0) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      if (busy == 0) return;
      ++busy;
    }
    --busy;
  };
  std::vector<std::thread> threads;
  for (std::int64_t task = 0; task < plan.local.at_once; ++task)
    threads.emplace_back([&, task] {
      try {
        body(task);
      } catch (...) {
        --busy;
        const std::scoped_lock lock(mutex);
        if (!failed) failed = std::current_exception();
      }
    });
  for (std::thread& thread : threads) thread.join();
  if (failed) std::rethrow_exception(failed);
  const SweepState state = read_state(plan);
  log::all(summarize(plan, state));
  return ending_of(state);
}

}  // namespace shelfcast::trainer
