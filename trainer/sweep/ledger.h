// The ledger of a sweep: a file of JSON lines, each an event, that hundreds of jobs on many hosts add to.
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>

#include "base/file_lock.h"
#include "trainer/sweep/sweep_state.h"

namespace shelfcast::trainer {

// Events (every one has time, Unix seconds, and host):
//   submitting submission tasks segments     before Slurm is asked; [run, rung] each
//   submitted  submission job                Slurm took it          refused submission error
//   started    run rung submission task job
//   result     run rung step metric seconds  the end of a rung
//   failed     run rung error attempt final
//   left       run rung why                  saved and left before the end of the rung
//   again      run                           what failed, was stopped or lost its worker waits again
//   decided    rung finished failed keeps promoted
//
// A session holds the sweep's lock while it lives: what it reads does not change until it has added to it.
class LedgerSession {
 public:
  // Reads the whole ledger. A last line that a crash tore is cut off. Throws Error(timeout), Error(io).
  explicit LedgerSession(const SweepPlan& plan);

  const SweepState& state() const { return state_; }
  // Adds time and host, writes the line, flushes it to disk and applies it. Throws Error(io) (a full disk):
  // then the ledger is as before.
  void add(nlohmann::json event);

 private:
  std::filesystem::path path_;
  FileLock lock_;
  SweepState state_;
};

// Where the sweep stands, without waiting for anybody.
SweepState read_state(const SweepPlan& plan);

// The lock that a session takes; whoever makes the folder's other files holds it, too.
std::filesystem::path sweep_lock(const std::filesystem::path& dir);

}  // namespace shelfcast::trainer
