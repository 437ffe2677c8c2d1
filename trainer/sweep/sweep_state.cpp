#include "trainer/sweep/sweep_state.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace shelfcast::trainer {
namespace {

using nlohmann::json;

double metric_of(const json& event) {
  const auto found = event.find("metric");
  return found != event.end() && found->is_number() ? found->get<double>()
                                                    : std::numeric_limits<double>::quiet_NaN();
}

Worker worker_of(const json& event) {
  return {event.value("submission", std::int64_t{0}), event.value("task", std::int64_t{0})};
}

}  // namespace

bool better(double a, double b, Goal goal) {
  if (!std::isfinite(a)) return false;
  if (!std::isfinite(b)) return true;
  return goal == Goal::minimise ? a < b : a > b;
}

SweepEnding ending_of(const SweepState& state, const std::vector<Segment>& segments) {
  SweepEnding ending = SweepEnding::done;
  for (const Segment& segment : segments) {
    const RunRecord& run = state.runs()[segment.run];
    if (run.next_rung() > segment.rung) continue;
    if (run.state != RunRecord::State::failed) return SweepEnding::left;
    ending = SweepEnding::failed;
  }
  return ending;
}

SweepEnding ending_of(const SweepState& state) {
  std::vector<Segment> segments;
  for (std::size_t run = 0; run < state.runs().size(); ++run)
    if (state.unfinished(run)) segments.push_back({run, state.runs()[run].next_rung()});
  return ending_of(state, segments);
}

SweepState::SweepState(const SweepPlan& plan) : plan_(plan), runs_(plan.runs.size()) {
  for (std::size_t i = 0; i < plan.runs.size(); ++i) index_[plan.runs[i].id] = i;
}

void SweepState::apply(const json& event) {
  const std::string what = event.value("event", "");
  const double time = event.value("time", 0.0);
  if (what == "submitting") {
    Submission& submission = submissions_.emplace_back();
    submission.number = event.at("submission");
    submission.tasks = event.at("tasks");
    for (const json& pair : event.at("segments")) {
      const auto found = index_.find(pair.at(0).get<std::string>());
      if (found == index_.end()) continue;
      submission.segments.push_back({found->second, pair.at(1)});
      runs_[found->second].state = RunRecord::State::waiting;
    }
    return;
  }
  if (what == "submitted" || what == "refused") {
    for (Submission& submission : submissions_)
      if (submission.number == event.value("submission", std::int64_t{0})) {
        submission.refused = what == "refused";
        submission.job = event.value("job", "");
      }
    return;
  }
  if (what == "decided") {
    for (const json& id : event.at("promoted"))
      if (const auto found = index_.find(id.get<std::string>()); found != index_.end())
        runs_[found->second].allowed =
            std::max<std::int64_t>(runs_[found->second].allowed, event.at("rung").get<std::int64_t>() + 1);
    return;
  }
  const auto found = index_.find(event.value("run", ""));
  if (found == index_.end()) return;
  RunRecord& run = runs_[found->second];
  run.worker = worker_of(event);
  run.host = event.value("host", "");
  run.since = time;
  if (what == "started") {
    run.state = RunRecord::State::running;
    run.job = event.value("job", "");
    run.error.clear();
  } else if (what == "result") {
    // The same result may be found twice, after a crash between training and the note of it.
    if (event.at("rung").get<std::int64_t>() == run.next_rung()) {
      run.results.push_back(metric_of(event));
      run.steps.push_back(event.at("step"));
    }
    run.state = RunRecord::State::waiting;
  } else if (what == "failed") {
    run.error = event.value("error", "");
    if (event.value("final", false)) run.state = RunRecord::State::failed;
  } else if (what == "left") {
    run.error = event.value("why", "");
    run.state = run.error == kTimeLimit ? RunRecord::State::left : RunRecord::State::stopped;
  } else if (what == "again") {
    run.state = RunRecord::State::waiting;
  }
}

const Submission* SweepState::submission(std::int64_t number) const {
  for (const Submission& submission : submissions_)
    if (submission.number == number) return &submission;
  return nullptr;
}

bool SweepState::unfinished(std::size_t run) const {
  return runs_[run].next_rung() <= std::min(runs_[run].allowed, plan_.last_rung());
}

bool SweepState::waits(std::size_t run) const {
  return unfinished(run) &&
         (runs_[run].state == RunRecord::State::waiting || runs_[run].state == RunRecord::State::left);
}

std::vector<Segment> SweepState::share_of(const Worker& worker) const {
  std::vector<Segment> share;
  if (const Submission* submitted = submission(worker.submission))
    for (std::size_t i = 0; i < submitted->segments.size(); ++i)
      if (static_cast<std::int64_t>(i) % submitted->tasks == worker.task)
        share.push_back(submitted->segments[i]);
  return share;
}

std::vector<Segment> SweepState::work_of(const Worker& worker) const {
  std::vector<Segment> work = share_of(worker);
  for (std::size_t i = 0; i < runs_.size(); ++i)
    if (runs_[i].worker == worker && runs_[i].state != RunRecord::State::waiting && unfinished(i))
      work.push_back({i, runs_[i].next_rung()});
  return work;
}

bool SweepState::next_for(const Worker& worker, Segment& next) const {
  // A worker that comes back after its node was lost goes on with what it had begun.
  for (std::size_t i = 0; i < runs_.size(); ++i)
    if (runs_[i].state == RunRecord::State::running && runs_[i].worker == worker && unfinished(i))
      return next = {i, runs_[i].next_rung()}, true;
  const bool own_only = worker.submission > 0 && plan_.halving.kind != HalvingConfig::Kind::async;
  bool found = false;
  const auto offer = [&](std::size_t run, std::int64_t least_rung) {
    const std::int64_t rung = runs_[run].next_rung();
    if (!waits(run) || rung < least_rung || (found && rung <= next.rung)) return;
    next = {run, rung};
    found = true;
  };
  if (own_only) {
    for (const Segment& segment : share_of(worker))
      if (waits(segment.run) && runs_[segment.run].next_rung() == segment.rung) return next = segment, true;
    return false;
  }
  if (worker.submission == 0) {
    for (std::size_t i = 0; i < runs_.size(); ++i) offer(i, 0);
    return found;
  }
  for (std::size_t i = 0; i < runs_.size(); ++i) offer(i, 1);
  if (found) return true;
  for (const Segment& segment : share_of(worker)) offer(segment.run, 0);
  return found;
}

std::vector<std::size_t> SweepState::ranking(std::int64_t rung) const {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < runs_.size(); ++i)
    if (runs_[i].next_rung() > rung) order.push_back(i);
  const auto at = [&](std::size_t run) { return runs_[run].results[static_cast<std::size_t>(rung)]; };
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return better(at(a), at(b), plan_.goal); });
  return order;
}

// Whether nobody on this rung, nor on one below, has yet to finish or fail.
bool SweepState::complete(std::int64_t rung) const {
  for (std::size_t i = 0; i < runs_.size(); ++i)
    if (runs_[i].next_rung() <= std::min(rung, runs_[i].allowed) &&
        runs_[i].state != RunRecord::State::failed)
      return false;
  return true;
}

Decision SweepState::judge(std::int64_t rung) const {
  const bool sync = plan_.halving.kind != HalvingConfig::Kind::async;
  Decision decision{.rung = rung, .finished = 0, .failed = 0, .keeps = 0, .promoted = {}};
  std::int64_t members = 0;
  for (const RunRecord& run : runs_) {
    members += run.allowed >= rung;
    decision.failed +=
        run.allowed >= rung && run.next_rung() <= rung && run.state == RunRecord::State::failed;
  }
  const std::vector<std::size_t> order = ranking(rung);
  decision.finished = static_cast<std::int64_t>(order.size());
  const bool all = complete(rung);
  if (rung >= plan_.last_rung() || (sync && !all)) return decision;
  decision.keeps = (sync ? members : decision.finished) / plan_.halving.keep;
  // However few they are, one goes all the way.
  if (all) decision.keeps = std::max<std::int64_t>(decision.keeps, 1);
  for (std::size_t i = 0; i < order.size() && static_cast<std::int64_t>(i) < decision.keeps; ++i)
    if (runs_[order[i]].allowed == rung) decision.promoted.push_back(order[i]);
  return decision;
}

bool SweepState::decide(Decision& decision) const {
  for (std::int64_t rung = 0; rung < plan_.last_rung(); ++rung) {
    decision = judge(rung);
    if (!decision.promoted.empty()) return true;
  }
  return false;
}

}  // namespace shelfcast::trainer
