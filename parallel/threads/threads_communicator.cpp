#include "parallel/threads/threads_communicator.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "parallel/reduction.h"

namespace shelfcast::parallel {
namespace {

using Contributions = std::span<const Contribution>;

template <typename T>
std::vector<const T*> inputs_of(Contributions ranks) {
  std::vector<const T*> inputs;
  for (const Contribution& rank : ranks) inputs.push_back(static_cast<const T*>(rank.input));
  return inputs;
}

template <typename T>
T& output_of(const Contribution& rank) {
  return *static_cast<T*>(rank.output);
}

// Source and target may be the same memory (collectives in place).
template <typename T>
void copy(const T* from, T* to, std::size_t count) {
  if (from != to && count > 0) std::memcpy(to, from, count * sizeof(T));
}

// What all communicators of one rank share, whatever they were split from. Used from that rank's thread only.
struct RankState {
  std::shared_ptr<RankWitness> witness;  // may be null
};

class ThreadsPending : public Pending {
 public:
  ThreadsPending(std::shared_ptr<Rendezvous> group, int rank, std::shared_ptr<Rendezvous::Table> table,
                 std::chrono::milliseconds deadline, std::string_view label, std::shared_ptr<RankState> state)
      : group_(std::move(group)),
        rank_(rank),
        table_(std::move(table)),
        deadline_(deadline),
        label_(label),
        state_(std::move(state)) {}
  ~ThreadsPending() override {
    if (table_) group_->abandon(rank_, *table_, label_);
  }
  void wait() override {
    if (!table_) return;
    group_->wait(rank_, *table_, deadline_, label_, state_->witness.get());
    table_.reset();
  }
  bool done() override {
    if (table_ && group_->is_done(rank_, *table_, label_, state_->witness.get())) table_.reset();
    return !table_;
  }

 private:
  std::shared_ptr<Rendezvous> group_;
  int rank_;
  std::shared_ptr<Rendezvous::Table> table_;  // null when done
  std::chrono::milliseconds deadline_;
  std::string label_;
  std::shared_ptr<RankState> state_;
};

class ThreadsCommunicator : public Communicator {
 public:
  ThreadsCommunicator(std::shared_ptr<Rendezvous> group, int rank, Deadlines deadlines,
                      std::shared_ptr<RankState> state)
      : group_(std::move(group)), rank_(rank), deadlines_(deadlines), state_(std::move(state)) {}

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(group_->members().size()); }
  int local_rank() const override { return rank_; }
  int local_size() const override { return size(); }
  std::string_view backend() const override { return "threads"; }

  void all_reduce(std::span<float> values, ReduceOp op, std::string_view label) override {
    start_sums(values, op, label)->wait();
  }
  void all_reduce(std::span<double> values, ReduceOp op, std::string_view label) override {
    start_sums(values, op, label)->wait();
  }
  void all_reduce(std::span<std::int64_t> values, ReduceOp op, std::string_view label) override {
    start_sums(values, op, label)->wait();
  }
  std::unique_ptr<Pending> start_all_reduce(std::span<float> values, std::string_view label) override {
    return start_sums(values, ReduceOp::sum, label);
  }
  std::unique_ptr<Pending> start_reduce(std::span<float> values, int root, std::string_view label) override {
    return start_sum_at(values, root, label);
  }
  std::unique_ptr<Pending> start_all_reduce(std::span<BFloat16> values, std::string_view label) override {
    return start_sums(values, ReduceOp::sum, label);
  }
  std::unique_ptr<Pending> start_reduce(std::span<BFloat16> values, int root,
                                        std::string_view label) override {
    return start_sum_at(values, root, label);
  }
  void reduce_scatter(std::span<const float> values, std::span<float> part, std::string_view label) override;
  void all_gather(std::span<const float> part, std::span<float> all, std::string_view label) override;
  std::vector<std::vector<std::byte>> all_gather_bytes(std::span<const std::byte> bytes,
                                                       std::string_view label) override;
  void broadcast(std::vector<std::byte>& bytes, int root, std::string_view label) override;
  void broadcast(std::span<float> values, int root, std::string_view label) override;
  std::unique_ptr<Pending> start_broadcast(std::span<std::byte> bytes, int root,
                                           std::string_view label) override;
  void barrier(std::string_view label) override {
    meet({"barrier", 0, [](Contributions) {}}, {}, label)->wait();
  }
  std::unique_ptr<Communicator> split(int color, int key) override;
  void set_witness(std::shared_ptr<RankWitness> witness) override { state_->witness = std::move(witness); }
  void abort(const std::string& message) override {
    group_->run()->fail(group_->members()[static_cast<std::size_t>(rank_)], message);
  }

 private:
  template <typename T>
  std::unique_ptr<Pending> start_sums(std::span<T> values, ReduceOp op, std::string_view label);
  template <typename T>
  std::unique_ptr<Pending> start_sum_at(std::span<T> values, int root, std::string_view label);
  std::unique_ptr<Pending> meet(const Meeting& meeting, Contribution contribution, std::string_view label);

  std::shared_ptr<Rendezvous> group_;
  int rank_;
  Deadlines deadlines_;
  std::shared_ptr<RankState> state_;
  std::uint64_t calls_ = 0;
};

std::unique_ptr<Pending> ThreadsCommunicator::meet(const Meeting& meeting, Contribution contribution,
                                                   std::string_view label) {
  if (state_->witness)
    if (const std::optional<Error> failure = state_->witness->failure()) throw *failure;
  const auto deadline = calls_ == 0 ? deadlines_.start : deadlines_.step;
  auto table = group_->arrive(rank_, calls_++, meeting, contribution, label);
  return std::make_unique<ThreadsPending>(group_, rank_, std::move(table), deadline, label, state_);
}

template <typename T>
std::unique_ptr<Pending> ThreadsCommunicator::start_sums(std::span<T> values, ReduceOp op,
                                                         std::string_view label) {
  const auto work = [count = values.size(), op](Contributions ranks) {
    T* const result = static_cast<T*>(ranks[0].output);
    reduce_in_rank_order<T>(inputs_of<T>(ranks), result, count, op);
    for (const Contribution& rank : ranks.subspan(1))
      std::copy_n(result, count, static_cast<T*>(rank.output));
  };
  return meet({"all_reduce", values.size(), work}, {values.data(), values.data()}, label);
}

template <typename T>
std::unique_ptr<Pending> ThreadsCommunicator::start_sum_at(std::span<T> values, int root,
                                                           std::string_view label) {
  SHELFCAST_ASSERT(root >= 0 && root < size());
  const auto work = [count = values.size(), root](Contributions ranks) {
    reduce_in_rank_order<T>(inputs_of<T>(ranks),
                            static_cast<T*>(ranks[static_cast<std::size_t>(root)].output), count,
                            ReduceOp::sum);
  };
  return meet({"reduce", values.size(), work}, {values.data(), values.data()}, label);
}

void ThreadsCommunicator::reduce_scatter(std::span<const float> values, std::span<float> part,
                                         std::string_view label) {
  SHELFCAST_ASSERT(values.size() == part.size() * static_cast<std::size_t>(size()));
  const auto work = [count = part.size()](Contributions ranks) {
    std::vector<const float*> inputs = inputs_of<float>(ranks);
    for (const Contribution& rank : ranks) {
      reduce_in_rank_order<float>(inputs, static_cast<float*>(rank.output), count, ReduceOp::sum);
      for (const float*& input : inputs) input += count;
    }
  };
  meet({"reduce_scatter", values.size(), work}, {values.data(), part.data()}, label)->wait();
}

void ThreadsCommunicator::all_gather(std::span<const float> part, std::span<float> all,
                                     std::string_view label) {
  SHELFCAST_ASSERT(all.size() == part.size() * static_cast<std::size_t>(size()));
  const auto work = [count = part.size()](Contributions ranks) {
    const std::vector<const float*> inputs = inputs_of<float>(ranks);
    for (const Contribution& rank : ranks)
      for (std::size_t i = 0; i < inputs.size(); ++i)
        copy(inputs[i], static_cast<float*>(rank.output) + i * count, count);
  };
  meet({"all_gather", part.size(), work}, {part.data(), all.data()}, label)->wait();
}

std::vector<std::vector<std::byte>> ThreadsCommunicator::all_gather_bytes(std::span<const std::byte> bytes,
                                                                          std::string_view label) {
  using Gathered = std::vector<std::vector<std::byte>>;
  const auto work = [](Contributions ranks) {
    for (const Contribution& target : ranks)
      for (const Contribution& source : ranks) {
        const auto& from = *static_cast<const std::span<const std::byte>*>(source.input);
        output_of<Gathered>(target).emplace_back(from.begin(), from.end());
      }
  };
  Gathered gathered;
  meet({"all_gather_bytes", 0, work}, {&bytes, &gathered}, label)->wait();
  return gathered;
}

void ThreadsCommunicator::broadcast(std::vector<std::byte>& bytes, int root, std::string_view label) {
  SHELFCAST_ASSERT(root >= 0 && root < size());
  const auto work = [root](Contributions ranks) {
    const auto& source = output_of<std::vector<std::byte>>(ranks[static_cast<std::size_t>(root)]);
    for (const Contribution& rank : ranks)
      if (auto& target = output_of<std::vector<std::byte>>(rank); &target != &source) target = source;
  };
  meet({"broadcast_bytes", static_cast<std::size_t>(root), work}, {nullptr, &bytes}, label)->wait();
}

void ThreadsCommunicator::broadcast(std::span<float> values, int root, std::string_view label) {
  start_broadcast(std::as_writable_bytes(values), root, label)->wait();
}

std::unique_ptr<Pending> ThreadsCommunicator::start_broadcast(std::span<std::byte> bytes, int root,
                                                              std::string_view label) {
  SHELFCAST_ASSERT(root >= 0 && root < size());
  const auto work = [root, count = bytes.size()](Contributions ranks) {
    const auto* source = static_cast<const std::byte*>(ranks[static_cast<std::size_t>(root)].input);
    for (const Contribution& rank : ranks) copy(source, static_cast<std::byte*>(rank.output), count);
  };
  return meet({"broadcast", bytes.size(), work}, {bytes.data(), bytes.data()}, label);
}

std::unique_ptr<Communicator> ThreadsCommunicator::split(int color, int key) {
  struct Wish {
    int color, key;
    std::shared_ptr<RankState> state;
  };
  const auto work = [group = group_, deadlines = deadlines_](Contributions ranks) {
    const std::vector<const Wish*> wishes = inputs_of<Wish>(ranks);
    std::map<int, std::vector<std::size_t>> by_color;
    for (std::size_t i = 0; i < wishes.size(); ++i) by_color[wishes[i]->color].push_back(i);
    for (auto& [shared_color, old_ranks] : by_color) {
      std::stable_sort(old_ranks.begin(), old_ranks.end(),
                       [&](std::size_t a, std::size_t b) { return wishes[a]->key < wishes[b]->key; });
      std::vector<int> members;
      for (const std::size_t old : old_ranks) members.push_back(group->members()[old]);
      const auto fresh = std::make_shared<Rendezvous>(group->run(), members);
      for (std::size_t i = 0; i < old_ranks.size(); ++i)
        output_of<std::unique_ptr<Communicator>>(ranks[old_ranks[i]]) = std::make_unique<ThreadsCommunicator>(
            fresh, static_cast<int>(i), deadlines, wishes[old_ranks[i]]->state);
    }
  };
  const Wish wish{color, key, state_};
  std::unique_ptr<Communicator> part;
  meet({"split", 0, work}, {&wish, &part}, "split")->wait();
  return part;
}

}  // namespace

std::vector<std::unique_ptr<Communicator>> make_threads_world(const std::shared_ptr<ThreadsRun>& run,
                                                              int ranks, Deadlines deadlines) {
  std::vector<int> members(static_cast<std::size_t>(ranks));
  std::iota(members.begin(), members.end(), 0);
  const auto group = std::make_shared<Rendezvous>(run, members);
  std::vector<std::unique_ptr<Communicator>> world;
  for (int rank = 0; rank < ranks; ++rank)
    world.push_back(
        std::make_unique<ThreadsCommunicator>(group, rank, deadlines, std::make_shared<RankState>()));
  return world;
}

}  // namespace shelfcast::parallel
