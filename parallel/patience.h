// Waiting for other ranks: without taking a core, never longer than a deadline, and with a message that says
// who is missing. Shared by the back ends that look again and again (MPI, NCCL).
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "parallel/communicator.h"

namespace shelfcast::parallel {

// Where this process stands among the ranks of the run, for messages.
struct RankPlace {
  int rank = 0;                    // in the run
  std::vector<std::string> hosts;  // of every rank; empty before they are known
};

// "rank 3 on node7".
std::string name_rank(const RankPlace& place, int rank);

// Throws the run's failure, once the witness (null: none) knows one.
void throw_known_failure(const RankWitness* witness);

// One wait.
class Patience {
 public:
  // `place` and `witness` (null: none) must outlive the wait.
  Patience(std::string_view label, std::chrono::milliseconds deadline, const RankPlace& place,
           RankWitness* witness);

  // Call after each look at what is not there yet; returns after a moment: at once as long as a small message
  // takes, then after letting others run, then after sleeping up to 50 us. Throws the witness's failure;
  // Error(timeout) when the deadline has passed, unless the witness extends it. `awaited`, asked only then:
  // the ranks of the run that are missing; empty = not known.
  void pause(const std::function<std::vector<int>()>& awaited);

 private:
  using Clock = std::chrono::steady_clock;
  void back_off();
  std::chrono::milliseconds extend_or_throw(const std::vector<int>& awaited);

  std::string_view label_;
  std::chrono::milliseconds deadline_;
  const RankPlace& place_;
  RankWitness* witness_;
  Clock::time_point began_ = Clock::now(), until_ = began_ + deadline_;
  std::chrono::microseconds nap_{4};
};

}  // namespace shelfcast::parallel
