// Where threads that play ranks meet: each collective is a table at which every rank lays down pointers, and
// the last to arrive does the work for all.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "parallel/communicator.h"

namespace shelfcast::parallel {

// What all groups of one run share: when one rank fails, every wait in every group ends. Any thread may call
// it.
class ThreadsRun {
 public:
  explicit ThreadsRun(int ranks) : has_left_(static_cast<std::size_t>(ranks), false) {}

  // Rank `rank` of the run has failed; the first call decides what the others are told.
  void fail(int rank, const std::string& message);
  // Rank `rank` has returned: whoever waits for it waits in vain.
  void leave(int rank);
  // The rank that failed first, and its message.
  std::optional<int> culprit() const;
  std::string message() const;

 private:
  friend class Rendezvous;  // shares the mutex, so that arriving and failing are one order of events
  void fail_locked(int rank, const std::string& message);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<int> culprit_;
  std::string message_;
  std::vector<bool> has_left_;
};

// What one rank lays down: where its data are and where results go. They stay alive until the rank's wait
// returns.
struct Contribution {
  const void* input = nullptr;
  void* output = nullptr;
};

// One collective operation as its ranks describe it; all must say the same but for the label.
struct Meeting {
  std::string_view kind;  // "all_reduce"
  std::size_t size = 0;   // elements, which must agree; 0 where lengths may differ
  // Does the work for all, in the thread that arrives last.
  std::function<void(std::span<const Contribution>)> work;
};

// The meeting place of one group of ranks, used by all of them.
class Rendezvous {
 public:
  struct Table;

  // `members[i]` is the rank in the run of the group's rank i.
  Rendezvous(std::shared_ptr<ThreadsRun> run, std::vector<int> members);

  // Group rank `rank` joins operation number `sequence` (each rank counts its own calls). Throws
  // Error(communication) when the run has failed or ranks disagree about the operation.
  std::shared_ptr<Table> arrive(int rank, std::uint64_t sequence, const Meeting& meeting,
                                Contribution contribution, std::string_view label);
  // Returns when the work of `table` is done. Throws Error(timeout) naming the ranks that are missing unless
  // `witness` (may be null) extends the wait, Error(communication) when the run fails meanwhile, and the
  // witness's failure.
  void wait(int rank, Table& table, std::chrono::milliseconds deadline, std::string_view label,
            RankWitness* witness);
  // Whether wait() would return at once; throws as it does.
  bool is_done(int rank, const Table& table, std::string_view label, RankWitness* witness) const;
  // Rank `rank` will not wait for `table` any more; its memory may vanish. Logs and fails the run when that
  // hurts.
  void abandon(int rank, Table& table, std::string_view label) noexcept;

  const std::shared_ptr<ThreadsRun>& run() const { return run_; }
  const std::vector<int>& members() const { return members_; }

 private:
  std::shared_ptr<Table> table_locked(int rank, std::uint64_t sequence, const Meeting& meeting,
                                      std::string_view label);
  void work_for_all(const std::shared_ptr<Table>& table, const Meeting& meeting,
                    std::unique_lock<std::mutex>& lock);
  Error failure_locked(int rank, std::string_view label) const;
  std::optional<int> departed_locked(const Table& table) const;
  std::vector<int> missing_locked(const Table& table) const;  // ranks of the group
  // The deadline has passed: returns what the witness adds to it, or fails the run and throws Error(timeout).
  std::chrono::milliseconds extend_or_throw(int rank, const Table& table, std::chrono::milliseconds deadline,
                                            std::string_view label, RankWitness* witness,
                                            std::unique_lock<std::mutex>& lock);

  std::shared_ptr<ThreadsRun> run_;
  std::vector<int> members_;
  std::map<std::uint64_t, std::shared_ptr<Table>> open_;  // tables not everyone has arrived at
};

}  // namespace shelfcast::parallel
