// Who is the slow one: what every rank spent its time on, taken before the collective that evens it out.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "parallel/communicator.h"

namespace shelfcast::trainer {

// Seconds of one rank since the last report.
struct RankTimes {
  double load = 0;     // waiting for the loader
  double compute = 0;  // forward, loss, backward
  double wait = 0;     // for other ranks, in the gradients' sums
  double save = 0;     // blocked by checkpoints

  RankTimes operator-(const RankTimes& other) const {
    return {load - other.load, compute - other.compute, wait - other.wait, save - other.save};
  }
};

struct StragglerReport {
  // {"load": {"min", "median", "max", "worst_rank"}, "compute": ..., "wait": ..., "save": ...}
  nlohmann::json summary() const;
  // "rank 3 on n17 holds the others up: ...", "" when the slowest needs less than 1.3 times the median of the
  // others for loading and computing together.
  std::string complaint() const;

  std::vector<RankTimes> ranks;
  std::vector<std::string> hosts;
};

// Gathers the times of all ranks. Collective.
class StragglerWatch {
 public:
  explicit StragglerWatch(parallel::Communicator& communicator);
  StragglerReport report(const RankTimes& own);

 private:
  parallel::Communicator& communicator_;
  std::vector<std::string> hosts_;
};

}  // namespace shelfcast::trainer
