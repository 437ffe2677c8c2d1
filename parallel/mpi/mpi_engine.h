// Drives all MPI operations of a process and waits for them with deadlines.
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "parallel/communicator.h"
#include "parallel/mpi/mpi_transfers.h"
#include "parallel/mpi/shared_memory.h"
#include "parallel/patience.h"

namespace shelfcast::parallel {

// Shared by a communicator and those split from it: whoever waits drives the operations of all, since MPI
// makes no progress by itself. After a timeout or a lost peer it is broken: calls throw at once and MPI is
// not touched again, because it could still write to memory that is gone. Used from one thread at a time.
class MpiEngine {
 public:
  // Who is who, for messages; ranks of the first communicator.
  void set_place(int rank, std::vector<std::string> hosts);
  int rank() const { return place_.rank; }
  const std::vector<std::string>& hosts() const { return place_.hosts; }

  // Null: none. Waits look at it.
  void set_witness(std::shared_ptr<RankWitness> witness) { witness_ = std::move(witness); }

  // Throws Error(communication) when broken, and breaks with the witness's failure when it knows one.
  void check_usable(std::string_view label);
  bool is_broken() const { return !broken_by_.empty(); }

  // Memory in which ranks of this host sum in place, as long as it is there.
  void share(const std::shared_ptr<SharedMemory>& memory) { shared_.push_back(memory); }
  // That in which `values` lie; null: in none.
  std::shared_ptr<SharedMemory> shared_at(std::span<const std::byte> values);

  // Registers an operation, so that it advances whenever anyone waits; it is dropped when done.
  void start(const std::shared_ptr<MpiOperation>& operation);
  // Advances what was started, without waiting. Throws as wait() does.
  void progress();
  // Drives until `operation` is done. `members` are its group's ranks in the run. Throws Error(timeout)
  // naming the label, this rank and host, and the ranks awaited, unless the witness extends the wait;
  // Error(communication); the witness's failure.
  void wait(MpiOperation& operation, const std::vector<int>& members, std::chrono::milliseconds deadline);
  // Whether wait() would return at once; throws as it does. Advances `operation` alone.
  bool is_done(MpiOperation& operation);
  // Gives `operation` up and breaks the engine.
  void give_up(MpiOperation& operation, const std::string& why) noexcept;

 private:
  // Advances one operation; errors come out with its label and our place.
  bool poll(MpiOperation& operation) const;
  // Advances all that was started. Throws Error(communication) naming the operation that failed.
  void drive_started();
  void give_up_started(const std::string& why) noexcept;

  RankPlace place_;
  std::vector<std::shared_ptr<MpiOperation>> started_;
  std::vector<std::weak_ptr<SharedMemory>> shared_;
  std::string broken_by_;
  std::shared_ptr<RankWitness> witness_;
};

}  // namespace shelfcast::parallel
