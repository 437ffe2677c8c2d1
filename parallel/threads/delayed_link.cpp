#include "parallel/threads/delayed_link.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "base/error.h"

namespace shelfcast::parallel {
namespace {

// Sleeps, as a rank does whose network card is at work.
class DelayedPending : public Pending {
 public:
  DelayedPending(std::unique_ptr<Pending> inner, std::shared_ptr<DelayedLink> link, std::uint64_t sequence)
      : inner_(std::move(inner)), link_(std::move(link)), sequence_(sequence) {}
  void wait() override {
    inner_->wait();
    std::this_thread::sleep_until(link_->end_of(sequence_));
  }
  bool done() override {
    return inner_->done() && DelayedLink::Time::clock::now() >= link_->end_of(sequence_);
  }

 private:
  std::unique_ptr<Pending> inner_;
  std::shared_ptr<DelayedLink> link_;
  std::uint64_t sequence_;
};

class DelayedCommunicator : public Communicator {
 public:
  DelayedCommunicator(Communicator& inner, std::shared_ptr<DelayedLink> link)
      : inner_(inner), link_(std::move(link)) {}

  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  int local_rank() const override { return inner_.local_rank(); }
  int local_size() const override { return inner_.local_size(); }
  std::string_view backend() const override { return inner_.backend(); }

  void all_reduce(std::span<float> values, ReduceOp op, std::string_view label) override {
    const std::uint64_t sequence = join(all_reduce_seconds(values.size_bytes()));
    inner_.all_reduce(values, op, label);
    sleep_until_end(sequence);
  }
  std::unique_ptr<Pending> start_all_reduce(std::span<float> values, std::string_view label) override {
    const std::uint64_t sequence = join(all_reduce_seconds(values.size_bytes()));
    return std::make_unique<DelayedPending>(inner_.start_all_reduce(values, label), link_, sequence);
  }
  std::unique_ptr<Pending> start_reduce(std::span<float> values, int root, std::string_view label) override {
    const std::uint64_t sequence = join(half_seconds(values.size_bytes()));
    return std::make_unique<DelayedPending>(inner_.start_reduce(values, root, label), link_, sequence);
  }
  std::unique_ptr<Pending> start_all_reduce(std::span<BFloat16> values, std::string_view label) override {
    const std::uint64_t sequence = join(all_reduce_seconds(values.size_bytes()));
    return std::make_unique<DelayedPending>(inner_.start_all_reduce(values, label), link_, sequence);
  }
  std::unique_ptr<Pending> start_reduce(std::span<BFloat16> values, int root,
                                        std::string_view label) override {
    const std::uint64_t sequence = join(half_seconds(values.size_bytes()));
    return std::make_unique<DelayedPending>(inner_.start_reduce(values, root, label), link_, sequence);
  }
  void reduce_scatter(std::span<const float> values, std::span<float> part, std::string_view label) override {
    const std::uint64_t sequence = join(half_seconds(values.size_bytes()));
    inner_.reduce_scatter(values, part, label);
    sleep_until_end(sequence);
  }
  void all_gather(std::span<const float> part, std::span<float> all, std::string_view label) override {
    const std::uint64_t sequence = join(half_seconds(all.size_bytes()));
    inner_.all_gather(part, all, label);
    sleep_until_end(sequence);
  }

  void all_reduce(std::span<double> values, ReduceOp op, std::string_view label) override {
    inner_.all_reduce(values, op, label);
  }
  void all_reduce(std::span<std::int64_t> values, ReduceOp op, std::string_view label) override {
    inner_.all_reduce(values, op, label);
  }
  std::vector<std::vector<std::byte>> all_gather_bytes(std::span<const std::byte> bytes,
                                                       std::string_view label) override {
    return inner_.all_gather_bytes(bytes, label);
  }
  void broadcast(std::vector<std::byte>& bytes, int root, std::string_view label) override {
    inner_.broadcast(bytes, root, label);
  }
  void broadcast(std::span<float> values, int root, std::string_view label) override {
    inner_.broadcast(values, root, label);
  }
  std::unique_ptr<Pending> start_broadcast(std::span<std::byte> bytes, int root,
                                           std::string_view label) override {
    return inner_.start_broadcast(bytes, root, label);
  }
  void barrier(std::string_view label) override { inner_.barrier(label); }
  std::unique_ptr<Communicator> split(int color, int key) override { return inner_.split(color, key); }
  void progress() override { inner_.progress(); }
  void set_witness(std::shared_ptr<RankWitness> witness) override { inner_.set_witness(std::move(witness)); }
  void abort(const std::string& message) override { inner_.abort(message); }

 private:
  double all_reduce_seconds(std::size_t bytes) const {
    return ring_all_reduce_seconds(link_->speed(), size(), static_cast<double>(bytes));
  }
  double half_seconds(std::size_t bytes) const {
    return ring_half_seconds(link_->speed(), size(), static_cast<double>(bytes));
  }
  // Before the operation itself, so that all have come when that is over.
  std::uint64_t join(double seconds) {
    link_->join(calls_, seconds);
    return calls_++;
  }
  void sleep_until_end(std::uint64_t sequence) const {
    std::this_thread::sleep_until(link_->end_of(sequence));
  }

  Communicator& inner_;
  std::shared_ptr<DelayedLink> link_;
  std::uint64_t calls_ = 0;
};

}  // namespace

double ring_half_seconds(LinkSpeed link, int ranks, double bytes) {
  return (ranks - 1) * (link.latency + bytes / ranks / link.bytes_per_second);
}

double ring_all_reduce_seconds(LinkSpeed link, int ranks, double bytes) {
  return 2 * ring_half_seconds(link, ranks, bytes);
}

void DelayedLink::join(std::uint64_t sequence, double seconds) {
  const std::lock_guard lock(mutex_);
  if (operations_.size() <= sequence) operations_.resize(sequence + 1);
  Operation& operation = operations_[sequence];
  if (++operation.joined < ranks_) return;
  const Time begin = std::max(busy_until_, std::chrono::steady_clock::now());
  operation.end = busy_until_ =
      begin + std::chrono::duration_cast<Time::duration>(std::chrono::duration<double>(seconds));
  busy_seconds_ += seconds;
}

DelayedLink::Time DelayedLink::end_of(std::uint64_t sequence) const {
  const std::lock_guard lock(mutex_);
  SHELFCAST_ASSERT(operations_.at(sequence).joined == ranks_);
  return operations_[sequence].end;
}

DelayedLink::Time DelayedLink::busy_until() const {
  const std::lock_guard lock(mutex_);
  return busy_until_;
}

double DelayedLink::busy_seconds() const {
  const std::lock_guard lock(mutex_);
  return busy_seconds_;
}

std::unique_ptr<Communicator> make_delayed(Communicator& inner, std::shared_ptr<DelayedLink> link) {
  return std::make_unique<DelayedCommunicator>(inner, std::move(link));
}

}  // namespace shelfcast::parallel
