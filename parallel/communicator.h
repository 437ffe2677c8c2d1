// The ranks of a run and what they say to each other: one small interface over MPI, threads and NCCL.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "parallel/bfloat16.h"

namespace shelfcast::parallel {

enum class ReduceOp { sum, min, max };

// How long a wait may last before it becomes an Error(timeout).
struct Deadlines {
  std::chrono::milliseconds start{900'000};  // start-up and the first collective
  std::chrono::milliseconds step{120'000};   // every later one
};

// What is known about the ranks of a run beside the messages of the operation that waits for them. Waits look
// at it, so that a run that has failed elsewhere does not sit out its deadline, a slow rank is not taken for
// a lost one, and messages say what the awaited ranks are doing. Any thread.
class RankWitness {
 public:
  // What to do with a wait whose deadline has passed.
  struct Verdict {
    std::chrono::milliseconds extension{0};  // 0: end the wait with Error(timeout)
    std::string text;  // the awaited ranks: host, phase, step, operation, last heartbeat
  };
  virtual ~RankWitness() = default;
  // Why the run has failed, once that is known: waits throw it. One atomic load until then.
  virtual std::optional<Error> failure() const = 0;
  // Judges a wait for `awaited` (ranks of the run; empty: not known which) that has lasted `deadline`: a rank
  // that got further within that time is slow, not stuck. May take as long as a heartbeat.
  virtual Verdict judge(std::span<const int> awaited, std::chrono::milliseconds deadline) = 0;
};

// An operation that was started and must be waited for. Destroying an unfinished one only logs.
class Pending {
 public:
  virtual ~Pending() = default;
  // Blocks until the operation is done on this rank. Throws Error(timeout) naming the label, this rank and,
  // where known, the ranks that did not arrive; Error(communication) when a peer is lost; the witness's
  // failure.
  virtual void wait() = 0;
  // Whether wait() would return at once. Moves nothing on by itself (Communicator::progress does); throws as
  // wait() does.
  virtual bool done() = 0;
};

// A group of `size()` ranks. Every member marked collective must be called by all ranks of the group in the
// same order; sizes must agree. A communicator is used from one thread at a time. Buffers are host memory
// here; the GPU module's communicator takes device pointers through the same calls. `label` names the
// operation in messages. With one rank every collective returns at once and changes nothing.
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  // Rank and size among the ranks on this host: which GPU and which cores are ours.
  virtual int local_rank() const = 0;
  virtual int local_size() const = 0;
  // "mpi", "threads", "nccl", "single".
  virtual std::string_view backend() const = 0;

  // In place; every rank gets the same bits. Collective.
  virtual void all_reduce(std::span<float> values, ReduceOp op, std::string_view label) = 0;
  virtual void all_reduce(std::span<double> values, ReduceOp op, std::string_view label) = 0;
  virtual void all_reduce(std::span<std::int64_t> values, ReduceOp op, std::string_view label) = 0;
  // As all_reduce(sum), but returns while the transfer goes on; `values` must stay alive and untouched until
  // wait().
  virtual std::unique_ptr<Pending> start_all_reduce(std::span<float> values, std::string_view label) = 0;
  // The sum to `root` alone: what `values` hold on the other ranks afterwards is of no meaning. Collective.
  virtual std::unique_ptr<Pending> start_reduce(std::span<float> values, int root,
                                                std::string_view label) = 0;
  // The same for half the bytes. Host back ends add in float32 and round the sum once, NCCL after every
  // addition.
  virtual std::unique_ptr<Pending> start_all_reduce(std::span<BFloat16> values, std::string_view label) = 0;
  virtual std::unique_ptr<Pending> start_reduce(std::span<BFloat16> values, int root,
                                                std::string_view label) = 0;
  // `values` holds size() equal parts; on return part rank() holds the sum over ranks of that part and is
  // copied to `part`. Collective.
  virtual void reduce_scatter(std::span<const float> values, std::span<float> part,
                              std::string_view label) = 0;
  // `all` holds size() parts of part.size(), rank order. Collective.
  virtual void all_gather(std::span<const float> part, std::span<float> all, std::string_view label) = 0;
  // Bytes of any length from every rank, in rank order. Collective.
  virtual std::vector<std::vector<std::byte>> all_gather_bytes(std::span<const std::byte> bytes,
                                                               std::string_view label) = 0;
  // Root's bytes to everyone (resized to fit). Collective.
  virtual void broadcast(std::vector<std::byte>& bytes, int root, std::string_view label) = 0;
  virtual void broadcast(std::span<float> values, int root, std::string_view label) = 0;
  // Returns while the transfer goes on; `bytes` must stay alive, and the root's untouched, until wait().
  virtual std::unique_ptr<Pending> start_broadcast(std::span<std::byte> bytes, int root,
                                                   std::string_view label) = 0;
  virtual void barrier(std::string_view label) = 0;
  // Moves what was started on, without waiting: for back ends that make no progress by themselves. Cheap
  // enough to be called between any two pieces of work. Not collective; throws as Pending::wait() does.
  virtual void progress() {}
  // Memory for `bytes`, zero at first and on a cache line's beginning, for values that are summed over and
  // over. Sums of what lies here may take less copying, if all ranks of the group sum the same place of it:
  // MPI's ranks of one host reach into each other's. The size is the same on every rank. Freed with its last
  // owner, who may outlive the communicator. Host memory. Collective.
  virtual std::shared_ptr<std::byte> allocate(std::size_t bytes, std::string_view label);
  // A new group of the ranks that gave the same `color`, ordered by `key` then rank. Collective.
  virtual std::unique_ptr<Communicator> split(int color, int key) = 0;
  // From now on waits in this group, and in all that were or will be split from one common to them, look at
  // `witness`; null: no longer. Without one, or where the back end cannot, only deadlines end a wait. Not
  // collective.
  // NOLINTNEXTLINE(performance-unnecessary-value-param): back ends that wait keep it
  virtual void set_witness(std::shared_ptr<RankWitness> /*witness*/) {}
  // Ends every rank of the run with this message and a non-zero exit. Not collective; does not return for
  // MPI, and makes every rank's wait throw for threads.
  virtual void abort(const std::string& message) = 0;
};

// A group of one: collectives return at once.
std::unique_ptr<Communicator> make_single();

}  // namespace shelfcast::parallel
