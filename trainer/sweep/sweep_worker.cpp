#include "trainer/sweep/sweep_worker.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "trainer/run/run_lock.h"
#include "trainer/sweep/process.h"
#include "trainer/sweep/run_progress.h"
#include "trainer/sweep/submit.h"

namespace shelfcast::trainer {

namespace fs = std::filesystem;
using nlohmann::json;

SweepWorker::SweepWorker(const SweepPlan& plan, Worker worker, std::vector<std::string> launcher,
                         std::string job)
    : plan_(plan), worker_(worker), launcher_(std::move(launcher)), job_(std::move(job)) {}

void SweepWorker::work() {
  Segment segment;
  while (!LeaveSignals::any() && claim(segment)) {
    bool again = true;
    for (std::int64_t attempt = 1; again; ++attempt) {
      again = note(segment, train(segment), attempt);
      if (again) std::this_thread::sleep_for(std::chrono::seconds(1));
    }
  }
}

bool SweepWorker::claim(Segment& segment) {
  LedgerSession session(plan_);
  if (!session.state().next_for(worker_, segment)) return false;
  session.add({{"event", "started"},
               {"run", plan_.runs[segment.run].id},
               {"rung", segment.rung},
               {"submission", worker_.submission},
               {"task", worker_.task},
               {"job", job_}});
  return true;
}

std::vector<std::string> SweepWorker::command(const Segment& segment) const {
  std::vector<std::string> words = launcher_;
  for (const std::string& word :
       {shelfcast_program().string(), std::string("train"), plan_.recipe().string()})
    words.push_back(word);
  for (const std::string& override_text : plan_.runs[segment.run].overrides) {
    words.emplace_back("--set");
    words.push_back(override_text);
  }
  words.emplace_back("--set");
  words.push_back("run.dir=" + yaml_text(plan_.run_folder(segment.run).string()));
  words.emplace_back("--resume");
  words.emplace_back("auto");
  if (segment.rung < plan_.last_rung()) {
    words.emplace_back("--stop-after");
    words.push_back(fmt::format("{}", plan_.target(segment.run, segment.rung)));
  }
  return words;
}

// Whether the run's folder says that it has reached the end of the rung; fills step and metric then.
bool SweepWorker::arrived(const Segment& segment, Trained& trained) const {
  const fs::path folder = plan_.run_folder(segment.run);
  const std::optional<TrainState> saved = saved_state(folder);
  trained.step = saved ? saved->step : 0;
  const std::int64_t target = plan_.target(segment.run, segment.rung);
  if (!saved || saved->validation_pending ||
      (saved->step < target && !saved->stopped_early(plan_.runs[segment.run].early_stop)))
    return false;
  trained.step = std::min(saved->step, target);
  trained.metric = best_metric(folder, plan_.metric, plan_.goal, target);
  return true;
}

SweepWorker::Trained SweepWorker::train(const Segment& segment) const {
  Trained trained;
  const auto began = Clock::now();
  const fs::path log = plan_.log_folder() / (plan_.runs[segment.run].id + ".log");
  const std::uintmax_t said = size_of(log);
  try {
    // A driver that was killed leaves its trainings a moment to save.
    const bool free = RunLock::wait_until_free_here(plan_.run_folder(segment.run), LeaveSignals::any);
    // Trained before a crash that came between training and the note of it.
    if (arrived(segment, trained)) return trained.ending = Ending::finished, trained;
    const int exit_code = free ? run_logged(command(segment), log) : 0;
    trained.seconds = seconds_since(began);
    const LeaveRequest leave = LeaveSignals::requested();
    // mpirun, and srun, end with codes of their own when a run is asked to leave.
    if ((exit_code == 0 || leave != LeaveRequest::none) && arrived(segment, trained))
      return trained.ending = Ending::finished, trained;
    if (exit_code == 0 || leave != LeaveRequest::none) {
      trained.ending = Ending::left;
      trained.why = leave == LeaveRequest::time_limit  ? kTimeLimit
                    : leave == LeaveRequest::cancelled ? kCancelled
                                                       : kStopped;
      return trained;
    }
    trained.why = fmt::format("exit code {}: {}", exit_code, last_words(log, said));
  } catch (const std::exception& error) {
    trained.why = error.what();
  }
  return trained;
}

// Whether the segment is to be tried again at once.
bool SweepWorker::note(const Segment& segment, const Trained& trained, std::int64_t attempt) {
  const std::string& id = plan_.runs[segment.run].id;
  json event = {
      {"run", id}, {"rung", segment.rung}, {"submission", worker_.submission}, {"task", worker_.task}};
  LedgerSession session(plan_);
  switch (trained.ending) {
    case Ending::finished:
      event.update({{"event", "result"},
                    {"step", trained.step},
                    {"metric", std::isfinite(trained.metric) ? json(trained.metric) : json()},
                    {"seconds", trained.seconds}});
      session.add(event);
      log::all("{} step {}: {} {:.6g} ({})", id, trained.step, plan_.metric, trained.metric,
               format_duration(trained.seconds));
      decide(session, segment);
      return false;
    case Ending::left:
      event.update({{"event", "left"}, {"why", trained.why}, {"step", trained.step}});
      session.add(event);
      log::all("{} saved at step {} and left ({})", id, trained.step, trained.why);
      return false;
    case Ending::failed:
      break;
  }
  const bool final = attempt > plan_.retries;
  event.update({{"event", "failed"}, {"error", trained.why}, {"attempt", attempt}, {"final", final}});
  session.add(event);
  log::warn("{} failed{}: {}", id, final ? "" : ", is tried again", trained.why);
  if (final) decide(session, segment);
  return !final;
}

void SweepWorker::decide(LedgerSession& session, const Segment& segment) {
  const std::vector<Segment> promoted = decide_all(plan_, session);
  if (promoted.empty() && plan_.halving.kind == HalvingConfig::Kind::async) {
    // That nobody goes on yet is a decision, too.
    note_decision(plan_, session, session.state().judge(segment.rung));
    return;
  }
  // Asynchronous halving and local work go on with those promoted by themselves.
  if (promoted.empty() || worker_.submission == 0 || plan_.halving.kind == HalvingConfig::Kind::async) return;
  try {
    submit_segments(plan_, session, promoted);
  } catch (const std::exception& error) {
    log::warn("the next rung could not be submitted from here: {} - use `shelfcast sweep --submit`",
              error.what());
  }
}

void note_decision(const SweepPlan& plan, LedgerSession& session, const Decision& decision) {
  json promoted = json::array();
  for (const std::size_t run : decision.promoted) promoted.push_back(plan.runs[run].id);
  session.add({{"event", "decided"},
               {"rung", decision.rung},
               {"finished", decision.finished},
               {"failed", decision.failed},
               {"keeps", decision.keeps},
               {"promoted", promoted}});
}

std::vector<Segment> decide_all(const SweepPlan& plan, LedgerSession& session) {
  std::vector<Segment> promoted;
  for (Decision decision; session.state().decide(decision);) {
    note_decision(plan, session, decision);
    for (const std::size_t run : decision.promoted) promoted.push_back({run, decision.rung + 1});
    log::all("rung at step {}: {} finished, {} failed, the best {} go on, {} of them now",
             plan.rungs[static_cast<std::size_t>(decision.rung)], decision.finished, decision.failed,
             decision.keeps, decision.promoted.size());
  }
  return promoted;
}

}  // namespace shelfcast::trainer
