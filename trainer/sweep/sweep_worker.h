// Works off a sweep: claims a segment, trains it in a process of its own, notes the result, decides, goes on.
#pragma once

#include <string>
#include <vector>

#include "trainer/sweep/ledger.h"

namespace shelfcast::trainer {

class SweepWorker {
 public:
  // `launcher`: words before `shelfcast train`. `job`: Slurm's number of this task, empty outside.
  SweepWorker(const SweepPlan& plan, Worker worker, std::vector<std::string> launcher, std::string job);

  // Until nothing is left for it or it is asked to leave (LeaveSignals). A run that fails is tried again
  // `retries` times, then noted as failed; only what concerns the sweep as a whole throws.
  void work();

 private:
  enum class Ending { finished, failed, left };
  struct Trained {
    Ending ending = Ending::failed;
    std::int64_t step = 0;
    double metric = 0, seconds = 0;
    std::string why;
  };

  bool claim(Segment& segment);
  Trained train(const Segment& segment) const;
  bool arrived(const Segment& segment, Trained& trained) const;
  std::vector<std::string> command(const Segment& segment) const;
  bool note(const Segment& segment, const Trained& trained, std::int64_t attempt);
  void decide(LedgerSession& session, const Segment& segment);

  const SweepPlan& plan_;
  Worker worker_;
  std::vector<std::string> launcher_;
  std::string job_;
};

// Everything that halving decides now, noted; the segments of those promoted.
std::vector<Segment> decide_all(const SweepPlan& plan, LedgerSession& session);

// Notes a decision, one that promotes nobody included.
void note_decision(const SweepPlan& plan, LedgerSession& session, const Decision& decision);

}  // namespace shelfcast::trainer
