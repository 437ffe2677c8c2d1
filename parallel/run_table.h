// What is known about every rank of a run, and what follows from it for a rank that waits.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "parallel/communicator.h"
#include "parallel/heartbeat_wire.h"

namespace shelfcast::parallel {

// One rank as last heard of.
struct RankStatus {
  Beat last;
  Presence presence = Presence::unknown;
  double beat_age = 0.0;  // seconds since `last` was true
  bool silent = false;    // several heartbeats have failed to come

  // Seconds for which the rank is known to have got further at most.
  double progress_age() const { return last.seconds_since_progress + beat_age; }
  bool waits_for_ranks() const { return !last.operation.empty() && last.kind == activity::Kind::ranks; }
};

// "rank 3 on n17".
std::string name_of(const RankStatus& status);
// "phase train, step 120, in "gradients bucket 0" for 12.0 s", or "computing (no operation)".
std::string doing_of(const RankStatus& status);
// "rank 3 on n17: phase train, step 120, computing (no operation), no progress for 12.0 s, last heartbeat 0.4
// s ago" or "rank 3 on n17: no heartbeat for 14.2 s (process stopped, host lost or network cut), before that
// ...".
std::string describe(const RankStatus& status);

// The error of a run that lost `status`'s process, and of one whose rank said itself that it failed.
Error gone_error(const RankStatus& status);
Error failed_error(const RankStatus& status, const std::string& message);

// What becomes of a wait for `awaited` that has lasted `deadline`. A rank whose heartbeats show progress
// within `deadline` is slow; one that itself waits for ranks is slow as long as any rank of the run makes
// progress. Everything else ends the wait. No `awaited` means that it is not known who is missing (NCCL does
// not say): those ranks are then judged that do not wait for others, or all where every one does. `blur` is
// the age that news of a rank may have.
RankWitness::Verdict judge_wait(std::span<const RankStatus> run, std::span<const int> awaited,
                                std::chrono::milliseconds deadline, std::chrono::milliseconds blur);

// Where beats come from.
enum class BeatSource {
  messages,      // record()
  this_process,  // all ranks are threads here: base/activity is asked whenever somebody looks
};

// The last beat of each rank, and the run's failure. Any thread.
class RunTable {
 public:
  RunTable(std::vector<std::string> hosts, BeatSource source, std::chrono::milliseconds interval);

  int size() const { return static_cast<int>(hosts_.size()); }
  // Beats and lines of ranks that the run does not have are left out.
  void record(const Beat& beat);
  void record(const Table& table);
  void set_presence(int rank, Presence presence);
  RankStatus status(int rank) const;
  std::vector<RankStatus> all() const;
  Table to_send() const;
  // Counts the tables recorded; waits for a later one than `seen`.
  std::uint64_t tables() const;
  void wait_for_table(std::uint64_t seen, std::chrono::milliseconds limit) const;

  // The first failure is the run's; returns whether this was it.
  bool fail(const Error& error);
  bool has_failed() const { return failed_; }
  // One atomic load while there is none.
  std::optional<Error> failure() const;
  std::chrono::steady_clock::duration failed_for() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Row {
    Beat beat;
    Presence presence = Presence::unknown;
    Clock::time_point at;  // when `beat` was true
  };
  RankStatus status_locked(std::size_t rank, Clock::time_point now) const;

  const std::vector<std::string> hosts_;
  const BeatSource source_;
  const std::chrono::duration<double> silent_after_;
  mutable std::mutex mutex_;  // guards what follows
  mutable std::condition_variable table_came_;
  std::vector<Row> rows_;
  std::uint64_t tables_ = 0;
  std::optional<Error> failure_;
  Clock::time_point failed_at_;
  std::atomic<bool> failed_ = false;
};

}  // namespace shelfcast::parallel
