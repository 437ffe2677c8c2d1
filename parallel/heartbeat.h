// Heartbeats of the ranks of a run: who is lost, late or stuck, said by name, and nobody left waiting.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "parallel/communicator.h"
#include "parallel/run_table.h"

namespace shelfcast::parallel {

// How beats travel.
enum class BeatPath {
  automatic,  // through memory where all ranks are threads of this process, else over TCP
  tcp,
};

struct HeartbeatOptions {
  std::chrono::milliseconds interval{1000};
  // A rank without progress that others wait for, and a file operation, are warned about after this time, and
  // each time it has doubled.
  std::chrono::milliseconds warn_after{30'000};
  // A file operation that lasts longer ends the run; unset: the step deadline, the start deadline in phase
  // "start" and before any phase.
  std::optional<std::chrono::milliseconds> file_deadline = std::nullopt;
  Deadlines deadlines = {};
  // When the run has failed: how long the main thread may compute on before the process is ended under it,
  // and how long it may take to unwind once it knows.
  std::chrono::milliseconds grace{5000};
  std::chrono::milliseconds unwinding{30'000};
  BeatPath path = BeatPath::automatic;
  // Ends the process; unset: _exit(1). For tests.
  std::function<void()> end_process = nullptr;
};

// One per rank, beside its communicator of all ranks: construct it after the communicator and destroy it
// before. Construction is collective. A background thread tells rank 0 every `interval` over TCP what this
// rank is doing (base/activity.h); ranks that are threads of one process, and a single rank, need no network.
// It is the witness of the communicator's waits:
//
// - a process that ends without a goodbye (killed, exit(), crash) becomes the run's failure at once;
// - a wait whose deadline passes is extended while the awaited ranks make progress, and otherwise ends in
//   Error(timeout) that says what they are doing;
// - a file operation that does not come back ends this process and fails the run, since a thread inside the
//   kernel cannot throw.
//
// A failure of the run comes out of the current or next wait of every rank. Where the main thread does not
// get to one in time, the background thread prints the error and ends the process with exit code 1.
//
// Destruction says goodbye; while an exception unwinds, it reports a failure instead. A rank that cannot
// connect to rank 0 warns and goes on without heartbeats. Throws Error(communication) when the system gives
// no sockets or the ranks do not meet.
class Heartbeat {
 public:
  explicit Heartbeat(Communicator& world, HeartbeatOptions options = {});
  ~Heartbeat();
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

  // This rank has failed: the others' waits throw "rank 2 on n3 failed: <message>". Returns when that is on
  // its way, after half a second at most. Does nothing once the run has failed, so every error may be
  // reported. Any thread.
  void report_failure(const std::string& message);
  // What is known of `rank`; ranks other than 0 ask rank 0 and wait for the answer for two intervals at most.
  // Any thread.
  RankStatus status(int rank);
  // One line for every rank, for messages and post-mortem files. As status().
  std::string table();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace shelfcast::parallel
