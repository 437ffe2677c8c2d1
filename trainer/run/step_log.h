// What is said about training as it goes: lines of metrics.jsonl, the progress note, complaints about a slow
// rank.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "trainer/run/checkpoint.h"
#include "trainer/run/metrics_log.h"
#include "trainer/run/rank_times.h"

namespace shelfcast::trainer {

// One optimizer step as it is reported; the same on every rank.
struct StepNumbers {
  std::int64_t step = 0, skipped = 0;
  double epoch = 0, loss = 0, learning_rate = 0, gradient_norm = 0;
  bool good = true;  // the weights were updated: a bad step's loss is left out of means
};

// Collects steps and reports every so many. One per rank; on rank 0 it writes `metrics`, which may be null
// elsewhere.
class StepLog {
 public:
  // `state`: where the run stands; its sums since the last line go on.
  StepLog(parallel::Communicator& communicator, std::int64_t windows_per_step, MetricsLog* metrics,
          const TrainState& state);

  void add(const StepNumbers& numbers);
  // Notes the sums since the last line.
  void save(TrainState& state) const;
  // Writes what was added since the last time. `times` count from the start of the run. Collective.
  void report(const StepNumbers& numbers, const RankTimes& times);
  // Time that is not training's (a validation): it must not count as slow windows.
  void leave_out(Clock::duration time) { since_ += time; }
  // "loss 0.4312  5120 windows/s" of the last report.
  const std::string& note() const { return note_; }

 private:
  StragglerWatch stragglers_;
  int ranks_;
  bool speaks_;
  std::int64_t windows_per_step_;
  MetricsLog* metrics_;
  std::string note_;
  Clock::time_point since_ = Clock::now();
  Clock::time_point complained_at_ = Clock::now() - std::chrono::minutes(1);
  bool said_large_ = false;
  RankTimes times_before_;
  // Since the last report: the first two also before a resume.
  double loss_;
  std::int64_t good_;
  std::int64_t steps_ = 0;
};

}  // namespace shelfcast::trainer
