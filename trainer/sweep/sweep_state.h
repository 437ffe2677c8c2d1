// Where a sweep stands: what the events of its ledger add up to. Plain arithmetic, no files.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <unordered_map>
#include <vector>

#include "trainer/sweep/sweep_plan.h"

namespace shelfcast::trainer {

// One run on one rung: the piece of work that is claimed, trained and judged.
struct Segment {
  std::size_t run = 0;
  std::int64_t rung = 0;
  bool operator==(const Segment&) const = default;
};

// Who works: task `task` of submission `submission`. Local work is submission 0.
struct Worker {
  std::int64_t submission = 0, task = 0;
  bool operator==(const Worker&) const = default;
};

// Why a run left before the end of its rung.
inline constexpr const char* kTimeLimit = "time limit";
inline constexpr const char* kCancelled = "cancelled";
inline constexpr const char* kStopped = "stopped";

struct RunRecord {
  enum class State {
    waiting,  // for a worker
    running,
    left,     // saved and left for its time limit: its worker will come back
    stopped,  // saved and left because somebody wanted it (scancel, `shelfcast stop`): until submitted again
    failed,   // until submitted again
  };
  State state = State::waiting;
  std::int64_t allowed = 0;         // the highest rung it may climb
  std::vector<double> results;      // the metric at the end of each rung it has finished; NaN = not finite
  std::vector<std::int64_t> steps;  // it had then, fewer than the rung's when it stopped early
  Worker worker;                    // the last one
  std::string host, job, error;
  double since = 0;  // Unix seconds of the last event

  std::int64_t next_rung() const { return static_cast<std::int64_t>(results.size()); }
};

struct Submission {
  std::int64_t number = 0, tasks = 0;
  std::vector<Segment> segments;  // segment i is task (i % tasks)'s
  std::string job;                // Slurm's number; empty: not known to have been accepted
  bool refused = false;
};

// A decision of successive halving on one rung.
struct Decision {
  std::int64_t rung = 0;  // that was judged
  std::int64_t finished = 0, failed = 0, keeps = 0;
  std::vector<std::size_t> promoted;  // best first; those decided on earlier are left out
};

class SweepState {
 public:
  explicit SweepState(const SweepPlan& plan);

  // Adds an event of the ledger; those of runs that the plan does not know are passed over.
  void apply(const nlohmann::json& event);

  const std::vector<RunRecord>& runs() const { return runs_; }
  const std::vector<Submission>& submissions() const { return submissions_; }
  const Submission* submission(std::int64_t number) const;

  // Whether somebody still has to train this run: it may climb its next rung.
  bool unfinished(std::size_t run) const;
  // The segments that a worker of `submission` owns.
  std::vector<Segment> share_of(const Worker& worker) const;
  // What `worker` has to answer for: its share, and what it took up besides and left unfinished.
  std::vector<Segment> work_of(const Worker& worker) const;
  // What `worker` should train next: what it had begun, then its own share, then (asynchronous halving, or
  // local work) whatever waits, higher rungs first. false when there is nothing.
  bool next_for(const Worker& worker, Segment& next) const;
  // What halving makes of a rung now; nobody is promoted when it is too early. Synchronous: when all of the
  // rung have finished or failed, the best 1/keep go on. Asynchronous: always the best 1/keep of those that
  // have finished so far. Ties go to the run that stands first in the plan.
  Decision judge(std::int64_t rung) const;
  // The lowest rung from which somebody is promoted now. false when there is none.
  bool decide(Decision& decision) const;

 private:
  bool waits(std::size_t run) const;
  bool complete(std::int64_t rung) const;
  std::vector<std::size_t> ranking(std::int64_t rung) const;

  const SweepPlan& plan_;
  std::unordered_map<std::string, std::size_t> index_;
  std::vector<RunRecord> runs_;
  std::vector<Submission> submissions_;
};

// What is left of work on segments: any of them is still to be trained, or else any has failed.
enum class SweepEnding { done, failed, left };
SweepEnding ending_of(const SweepState& state, const std::vector<Segment>& segments);
SweepEnding ending_of(const SweepState& state);  // of all runs, as far as they may climb

// `a` is better than `b`; what is not finite is worse than anything.
bool better(double a, double b, Goal goal);

}  // namespace shelfcast::trainer
