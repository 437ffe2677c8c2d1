// Sums of what lies in shared memory: no message carries a number.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "parallel/communicator.h"
#include "parallel/mpi/mpi_operations.h"
#include "parallel/mpi/mpi_transfers.h"
#include "parallel/mpi/shared_memory.h"
#include "parallel/reduction.h"
#include "parallel/sharding.h"

namespace shelfcast::parallel {

// As MpiReduce, bit by bit. Each rank tells that its values are there, reduces its slice out of everyone's
// memory into everyone's, or into `root`'s alone, and tells that it has.
template <typename T>
class MpiSharedReduce : public MpiOperation {
 public:
  // `values` lie in `memory`, which has mapped those of `members`: the group's ranks in the run.
  MpiSharedReduce(const MpiPlace& place, int tag, std::string_view label, std::span<T> values, ReduceOp op,
                  std::optional<int> root, std::shared_ptr<SharedMemory> memory, std::vector<int> members)
      : MpiOperation(label),
        place_(place),
        op_(op),
        root_(root),
        memory_(std::move(memory)),
        members_(std::move(members)),
        own_{memory_->offset_of(std::as_bytes(values)).value(), values.size_bytes()},
        others_(members_.size()),
        arrivals_(place.comm, tag, place.longest_message),
        departures_(place.comm, tag, place.longest_message) {
    each_other([&](int peer) {
      arrivals_.receive(peer, bytes_of(others_[static_cast<std::size_t>(peer)]));
      arrivals_.send(peer, bytes_of(own_));
    });
  }

  bool poll() override {
    if (!reduced_) {
      if (!arrivals_.test()) return false;
      each_other([&](int peer) { check(peer); });
      reduce();
      reduced_ = true;
      each_other([&](int peer) {
        departures_.receive_signal(peer);
        departures_.send_signal(peer);
      });
    }
    return departures_.test();
  }
  std::vector<int> awaited() const override { return reduced_ ? departures_.awaited() : arrivals_.awaited(); }
  void cancel() noexcept override {
    arrivals_.cancel();
    departures_.cancel();
  }

 private:
  struct Extent {
    std::uint64_t offset = 0, bytes = 0;
  };

  static std::span<std::byte> bytes_of(Extent& extent) {
    return std::as_writable_bytes(std::span(&extent, 1));
  }
  template <typename Call>
  void each_other(const Call& call) const {
    for (int i = 1; i < place_.size; ++i) call((place_.rank + i) % place_.size);
  }
  void check(int peer) const {
    const Extent& theirs = others_[static_cast<std::size_t>(peer)];
    if (theirs.offset == own_.offset && theirs.bytes == own_.bytes) return;
    throw Error(ErrorKind::communication, "ranks disagree about the size of an operation",
                fmt::format("rank {} sums {} bytes from {} of shared memory where {} from {} were expected",
                            peer, theirs.bytes, theirs.offset, own_.bytes, own_.offset));
  }
  void reduce() {
    const Slice slice = slice_of(static_cast<std::int64_t>(own_.bytes / sizeof(T)), place_.size, place_.rank);
    const std::size_t begins = own_.offset + static_cast<std::size_t>(slice.begin) * sizeof(T);
    std::vector<const T*> sources;
    std::vector<T*> targets;
    for (int rank = 0; rank < place_.size; ++rank) {
      const int member = members_[static_cast<std::size_t>(rank)];
      std::byte* const memory = rank == place_.rank ? memory_->own() : memory_->of(member);
      T* const begin = reinterpret_cast<T*>(memory + begins);
      memory_->touch(member, begins, static_cast<std::size_t>(slice.size()) * sizeof(T));
      sources.push_back(begin);
      if (!root_ || *root_ == rank) targets.push_back(begin);
    }
    // Messages say what is where; these make it so also for memory that is not MPI's.
    std::atomic_thread_fence(std::memory_order_acquire);
    reduce_in_rank_order<T>(sources, targets, static_cast<std::size_t>(slice.size()), op_);
    std::atomic_thread_fence(std::memory_order_release);
  }

  MpiPlace place_;
  ReduceOp op_;
  std::optional<int> root_;
  std::shared_ptr<SharedMemory> memory_;
  std::vector<int> members_;
  Extent own_;
  std::vector<Extent> others_;
  MpiTransfers arrivals_, departures_;
  bool reduced_ = false;
};

}  // namespace shelfcast::parallel
