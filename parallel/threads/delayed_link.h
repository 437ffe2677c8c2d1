// A slow network between ranks that are threads: for tests and benchmarks, never in a run.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "parallel/communicator.h"

namespace shelfcast::parallel {

// What one message takes: latency + bytes / bytes_per_second.
struct LinkSpeed {
  double bytes_per_second = 1e9;
  double latency = 0;  // seconds
};

// Seconds that a ring of `ranks` takes for `bytes` in all, each rank sending and receiving at once: 2 (n - 1)
// messages of bytes / n for an all-reduce, half of them for a sum at one rank, a reduce-scatter or an
// all-gather (Thakur, Rabenseifner and Gropp, "Optimization of Collective Communication Operations in MPICH",
// 2005).
double ring_all_reduce_seconds(LinkSpeed link, int ranks, double bytes);
double ring_half_seconds(LinkSpeed link, int ranks, double bytes);

// The network of one run: one operation at a time, in the order in which they were started; each begins when
// its last rank has come. Any thread.
class DelayedLink {
 public:
  using Time = std::chrono::steady_clock::time_point;

  DelayedLink(LinkSpeed speed, int ranks) : speed_(speed), ranks_(ranks) {}

  LinkSpeed speed() const { return speed_; }
  // One rank comes to operation number `sequence`, which takes `seconds`.
  void join(std::uint64_t sequence, double seconds);
  // When that operation is over. All ranks must have come.
  Time end_of(std::uint64_t sequence) const;
  // When the link falls silent, by what was started until now.
  Time busy_until() const;
  // Seconds it was busy since construction.
  double busy_seconds() const;

 private:
  struct Operation {
    int joined = 0;
    Time end;
  };

  const LinkSpeed speed_;
  const int ranks_;
  mutable std::mutex mutex_;
  std::vector<Operation> operations_;  // by sequence
  Time busy_until_;
  double busy_seconds_ = 0;
};

// The same ranks, but sums and gatherings of floats end no sooner than they would on `link` (others pass as
// they are). `inner` must outlive it.
std::unique_ptr<Communicator> make_delayed(Communicator& inner, std::shared_ptr<DelayedLink> link);

}  // namespace shelfcast::parallel
