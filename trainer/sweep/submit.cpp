#include "trainer/sweep/submit.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "trainer/sweep/local.h"
#include "trainer/sweep/process.h"
#include "trainer/sweep/slurm.h"
#include "trainer/sweep/sweep_worker.h"

namespace shelfcast::trainer {
namespace {

using nlohmann::json;

// Submissions that may have tasks in the queue: some segment of theirs is not done.
std::set<std::int64_t> open_submissions(const SweepState& state) {
  std::set<std::int64_t> open;
  for (const Submission& submission : state.submissions())
    for (const Segment& segment : submission.segments)
      if (!submission.refused && state.runs()[segment.run].next_rung() <= segment.rung)
        open.insert(submission.number);
  // A promoted run is claimed by a task that was submitted for another.
  for (const RunRecord& run : state.runs())
    if (run.state == RunRecord::State::running && run.worker.submission > 0)
      open.insert(run.worker.submission);
  return open;
}

// Runs that a task in the queue will train, or is training.
std::vector<bool> covered_runs(const SweepState& state, const Queue& queue) {
  std::vector<bool> covered(state.runs().size(), false);
  for (const Submission& submission : state.submissions())
    for (std::size_t i = 0; i < submission.segments.size(); ++i) {
      const Segment& segment = submission.segments[i];
      const std::int64_t task = static_cast<std::int64_t>(i) % submission.tasks;
      if (segment.rung == state.runs()[segment.run].next_rung() &&
          queue.tasks.count({submission.number, task}) > 0)
        covered[segment.run] = true;
    }
  for (std::size_t run = 0; run < covered.size(); ++run) {
    const RunRecord& record = state.runs()[run];
    if (record.state == RunRecord::State::failed || record.state == RunRecord::State::stopped)
      covered[run] = false;
    if (record.state == RunRecord::State::running)
      covered[run] = queue.tasks.count({record.worker.submission, record.worker.task}) > 0;
  }
  return covered;
}

}  // namespace

std::vector<Segment> idle_segments(const SweepPlan& plan, LedgerSession& session) {
  const Queue queue = look_at_queue(plan, open_submissions(session.state()));
  // Accepted by Slurm, but whoever submitted died before noting it.
  for (const auto& [number, job] : queue.jobs)
    if (const Submission* submission = session.state().submission(number); submission->job.empty())
      session.add({{"event", "submitted"}, {"submission", number}, {"job", job}});
  const std::vector<bool> covered = covered_runs(session.state(), queue);
  std::vector<Segment> idle;
  for (std::size_t i = 0; i < plan.runs.size(); ++i)
    if (session.state().unfinished(i) && !covered[i])
      idle.push_back({i, session.state().runs()[i].next_rung()});
  return idle;
}

void submit_segments(const SweepPlan& plan, LedgerSession& session, const std::vector<Segment>& segments) {
  const auto number = static_cast<std::int64_t>(session.state().submissions().size()) + 1;
  const std::int64_t tasks = std::min(static_cast<std::int64_t>(segments.size()), plan.slurm.most_tasks);
  json pairs = json::array();
  for (const Segment& segment : segments) pairs.push_back({plan.runs[segment.run].id, segment.rung});
  session.add({{"event", "submitting"}, {"submission", number}, {"tasks", tasks}, {"segments", pairs}});
  try {
    const std::string job = sbatch(plan, number, tasks);
    session.add({{"event", "submitted"}, {"submission", number}, {"job", job}});
    log::all("submitted {} runs as {} tasks of job {}", segments.size(), tasks, job);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::input)
      session.add({{"event", "refused"}, {"submission", number}, {"error", error.why()}});
    throw;
  }
}

void submit(const SweepPlan& plan) {
  std::filesystem::create_directories(plan.dir);
  const LocalWork nobody_here(plan);
  {
    const FileLock lock(sweep_lock(plan.dir));
    store_plan(plan);
    write_file_atomically(plan.script(), render_script(plan, shelfcast_program()));
  }
  LedgerSession session(plan);
  // What a worker could not decide any more.
  decide_all(plan, session);
  const std::vector<Segment> segments = idle_segments(plan, session);
  if (segments.empty()) {
    log::all("nothing to submit: every run is finished, cut, or in the queue");
    return;
  }
  submit_segments(plan, session, segments);
}

}  // namespace shelfcast::trainer
