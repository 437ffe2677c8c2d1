// The collectives as exchanges of messages: every rank reduces its own slice in rank order, so sums have the
// same bits on every rank, in every run, and on the threads back end; and a timeout knows which rank did not
// send.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "parallel/communicator.h"
#include "parallel/mpi/mpi_transfers.h"
#include "parallel/reduction.h"
#include "parallel/sharding.h"

namespace shelfcast::parallel {

// This rank's place in its group.
struct MpiPlace {
  MPI_Comm comm = MPI_COMM_NULL;
  int rank = 0, size = 1;
  std::size_t longest_message = std::size_t{1} << 30;
};

// Memory for what peers send, kept between operations: fresh pages cost as much as the transfer itself.
class ScratchPool {
 public:
  // At least `bytes`; give it back when done.
  std::vector<std::byte> take(std::size_t bytes) {
    const auto fits =
        std::find_if(free_.begin(), free_.end(), [&](const auto& b) { return b.size() >= bytes; });
    if (fits == free_.end()) {
      if (!free_.empty()) free_.pop_back();  // too small: its place is taken by what we return later
      return std::vector<std::byte>(bytes);
    }
    std::vector<std::byte> buffer = std::move(*fits);
    free_.erase(fits);
    return buffer;
  }
  void give_back(std::vector<std::byte> buffer) { free_.push_back(std::move(buffer)); }

 private:
  std::vector<std::vector<std::byte>> free_;
};

// Messages that only have to get through: gathers, barriers, broadcasts.
class MpiExchange : public MpiOperation {
 public:
  MpiExchange(const MpiPlace& place, int tag, std::string_view label)
      : MpiOperation(label), transfers(place.comm, tag, place.longest_message) {}
  bool poll() override { return transfers.test(); }
  std::vector<int> awaited() const override { return transfers.awaited(); }
  void cancel() noexcept override { transfers.cancel(); }

  MpiTransfers transfers;
};

// values[slice of this rank] from every rank is reduced into `target`; the slices are `slices`, one a rank.
template <typename T>
class MpiReduceSlices : public MpiOperation {
 public:
  MpiReduceSlices(const MpiPlace& place, int tag, std::string_view label, std::span<const T> values,
                  std::vector<Slice> slices, std::span<T> target, ReduceOp op,
                  std::shared_ptr<ScratchPool> pool)
      : MpiOperation(label),
        place_(place),
        transfers_(place.comm, tag, place.longest_message),
        values_(values),
        slices_(std::move(slices)),
        target_(target),
        op_(op),
        pool_(std::move(pool)) {
    scratch_ = pool_->take(target.size_bytes() * static_cast<std::size_t>(place.size));
    for (int peer = 0; peer < place_.size; ++peer)
      if (peer != place_.rank) transfers_.receive(peer, std::as_writable_bytes(from(peer)));
    // Everyone begins with the next rank, so that not all send to rank 0 at once.
    for (int i = 1; i < place_.size; ++i) {
      const int peer = (place_.rank + i) % place_.size;
      transfers_.send(peer, std::as_bytes(part(peer)));
    }
  }
  ~MpiReduceSlices() override { pool_->give_back(std::move(scratch_)); }

  bool poll() override {
    if (done_) return true;
    if (!transfers_.test()) return false;
    std::vector<const T*> sources;
    for (int peer = 0; peer < place_.size; ++peer)
      sources.push_back(peer == place_.rank ? part(peer).data() : from(peer).data());
    reduce_in_rank_order<T>(sources, target_.data(), target_.size(), op_);
    return done_ = true;
  }
  std::vector<int> awaited() const override { return transfers_.awaited(); }
  void cancel() noexcept override { transfers_.cancel(); }

 private:
  std::span<const T> part(int rank) const {
    const Slice& slice = slices_[static_cast<std::size_t>(rank)];
    return values_.subspan(static_cast<std::size_t>(slice.begin), static_cast<std::size_t>(slice.size()));
  }
  std::span<T> from(int peer) {
    T* const begin = reinterpret_cast<T*>(scratch_.data()) + target_.size() * static_cast<std::size_t>(peer);
    return {begin, target_.size()};
  }

  MpiPlace place_;
  MpiTransfers transfers_;
  std::span<const T> values_;
  std::vector<Slice> slices_;
  std::span<T> target_;
  ReduceOp op_;
  std::shared_ptr<ScratchPool> pool_;
  std::vector<std::byte> scratch_;
  bool done_ = false;
};

// A sum or the like, in place and in two phases: each rank reduces one slice, then sends the result to all,
// or to `root` alone. So no rank's link carries more than twice the values, whoever the root is.
template <typename T>
class MpiReduce : public MpiOperation {
 public:
  MpiReduce(const MpiPlace& place, int tag, std::string_view label, std::span<T> values, ReduceOp op,
            std::optional<int> root, std::shared_ptr<ScratchPool> pool)
      : MpiOperation(label),
        place_(place),
        values_(values),
        root_(root),
        reduce_(place, tag, label, values, all_slices(), mine(place.rank), op, std::move(pool)),
        gather_(place.comm, tag, place.longest_message) {}

  bool poll() override {
    if (!reduced_) {
      if (!reduce_.poll()) return false;
      reduced_ = true;
      send_result();
    }
    return gather_.test();
  }
  std::vector<int> awaited() const override { return reduced_ ? gather_.awaited() : reduce_.awaited(); }
  void cancel() noexcept override {
    reduce_.cancel();
    gather_.cancel();
  }

 private:
  std::vector<Slice> all_slices() const {
    std::vector<Slice> slices;
    for (int rank = 0; rank < place_.size; ++rank)
      slices.push_back(slice_of(static_cast<std::int64_t>(values_.size()), place_.size, rank));
    return slices;
  }
  std::span<T> mine(int rank) const {
    const Slice slice = slice_of(static_cast<std::int64_t>(values_.size()), place_.size, rank);
    return values_.subspan(static_cast<std::size_t>(slice.begin), static_cast<std::size_t>(slice.size()));
  }
  bool gets_result(int rank) const { return !root_ || *root_ == rank; }
  void send_result() {
    for (int i = 1; i < place_.size; ++i) {
      const int peer = (place_.rank + i) % place_.size;
      if (gets_result(place_.rank)) gather_.receive(peer, std::as_writable_bytes(mine(peer)));
      if (gets_result(peer)) gather_.send(peer, std::as_bytes(mine(place_.rank)));
    }
  }

  MpiPlace place_;
  std::span<T> values_;
  std::optional<int> root_;
  MpiReduceSlices<T> reduce_;
  MpiTransfers gather_;
  bool reduced_ = false;
};

}  // namespace shelfcast::parallel
