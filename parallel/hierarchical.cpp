#include "parallel/hierarchical.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/host.h"
#include "parallel/gather_texts.h"

namespace shelfcast::parallel {
namespace {

// One sum on its way: levels that start one after the other, each when the one before is done.
struct Levels {
  using Level = std::function<std::unique_ptr<Pending>()>;
  std::vector<Level> levels;
  std::size_t started = 0;
  std::unique_ptr<Pending> under_way;

  void start_next() { under_way = started < levels.size() ? levels[started++]() : nullptr; }
  bool done() const { return !under_way; }
};

// The sums of one rank that are not done, oldest first. A younger one is never on a higher level than an
// older: so all ranks of a group start its operations in the same order.
class LevelsQueue {
 public:
  std::shared_ptr<Levels> start(std::vector<Levels::Level> levels) {
    auto sum = std::make_shared<Levels>();
    sum->levels = std::move(levels);
    sum->start_next();
    queue_.push_back(sum);
    return sum;
  }
  // As far as it goes without waiting.
  void advance() {
    std::size_t limit = std::numeric_limits<std::size_t>::max();
    for (const auto& sum : queue_) {
      while (!sum->done() && (sum->started < limit || sum->started == sum->levels.size()) &&
             sum->under_way->done())
        sum->start_next();
      if (!sum->done()) limit = std::min(limit, sum->started);
    }
    while (!queue_.empty() && queue_.front()->done()) queue_.pop_front();
  }
  // Waits for `last` and all older ones; null: for all.
  void finish(const Levels* last) {
    while (!queue_.empty() && (last == nullptr || !last->done())) {
      const std::shared_ptr<Levels> oldest = queue_.front();
      oldest->under_way->wait();
      advance();
    }
  }
  // Nobody will wait for it.
  void forget(const std::shared_ptr<Levels>& sum) { std::erase(queue_, sum); }

 private:
  std::deque<std::shared_ptr<Levels>> queue_;
};

class HierarchicalPending : public Pending {
 public:
  HierarchicalPending(std::shared_ptr<LevelsQueue> queue, std::shared_ptr<Levels> sum)
      : queue_(std::move(queue)), sum_(std::move(sum)) {}
  // What is under way says so itself when it is dropped.
  ~HierarchicalPending() override {
    if (!sum_->done()) queue_->forget(sum_);
  }
  void wait() override { queue_->finish(sum_.get()); }
  bool done() override {
    queue_->advance();
    return sum_->done();
  }

 private:
  std::shared_ptr<LevelsQueue> queue_;
  std::shared_ptr<Levels> sum_;
};

class Hierarchical : public Communicator {
 public:
  Hierarchical(Communicator& world, int node_ranks);

  int rank() const override { return all_->rank(); }
  int size() const override { return all_->size(); }
  int local_rank() const override { return all_->local_rank(); }
  int local_size() const override { return all_->local_size(); }
  std::string_view backend() const override { return all_->backend(); }

  std::unique_ptr<Pending> start_all_reduce(std::span<float> values, std::string_view label) override {
    return start_sum(values, std::nullopt, label);
  }
  std::unique_ptr<Pending> start_reduce(std::span<float> values, int root, std::string_view label) override {
    return start_sum(values, root, label);
  }
  std::unique_ptr<Pending> start_all_reduce(std::span<BFloat16> values, std::string_view label) override {
    return start_sum(values, std::nullopt, label);
  }
  std::unique_ptr<Pending> start_reduce(std::span<BFloat16> values, int root,
                                        std::string_view label) override {
    return start_sum(values, root, label);
  }
  void progress() override {
    all_->progress();
    sums_->advance();
  }

  void all_reduce(std::span<float> values, ReduceOp op, std::string_view label) override {
    settled().all_reduce(values, op, label);
  }
  void all_reduce(std::span<double> values, ReduceOp op, std::string_view label) override {
    settled().all_reduce(values, op, label);
  }
  void all_reduce(std::span<std::int64_t> values, ReduceOp op, std::string_view label) override {
    settled().all_reduce(values, op, label);
  }
  void reduce_scatter(std::span<const float> values, std::span<float> part, std::string_view label) override {
    settled().reduce_scatter(values, part, label);
  }
  void all_gather(std::span<const float> part, std::span<float> all, std::string_view label) override {
    settled().all_gather(part, all, label);
  }
  std::vector<std::vector<std::byte>> all_gather_bytes(std::span<const std::byte> bytes,
                                                       std::string_view label) override {
    return settled().all_gather_bytes(bytes, label);
  }
  void broadcast(std::vector<std::byte>& bytes, int root, std::string_view label) override {
    settled().broadcast(bytes, root, label);
  }
  void broadcast(std::span<float> values, int root, std::string_view label) override {
    settled().broadcast(values, root, label);
  }
  std::unique_ptr<Pending> start_broadcast(std::span<std::byte> bytes, int root,
                                           std::string_view label) override {
    return all_->start_broadcast(bytes, root, label);
  }
  void barrier(std::string_view label) override { settled().barrier(label); }
  std::shared_ptr<std::byte> allocate(std::size_t bytes, std::string_view label) override {
    return settled().allocate(bytes, label);
  }
  std::unique_ptr<Communicator> split(int color, int key) override { return settled().split(color, key); }
  void set_witness(std::shared_ptr<RankWitness> witness) override { all_->set_witness(std::move(witness)); }
  void abort(const std::string& message) override { all_->abort(message); }

 private:
  bool leads() const { return up_->rank() == 0; }
  // A rank inside another operation takes nothing from level to level, and others may wait for that.
  Communicator& settled() {
    sums_->finish(nullptr);
    return *all_;
  }
  template <typename T>
  std::unique_ptr<Pending> start_sum(std::span<T> values, std::optional<int> root, std::string_view label);

  std::unique_ptr<Communicator> all_;
  std::vector<int> nodes_;  // of all ranks
  // One group for each level, so that the order of its operations does not depend on the other levels.
  std::unique_ptr<Communicator> up_, between_, down_;
  std::shared_ptr<LevelsQueue> sums_ = std::make_shared<LevelsQueue>();
};

// The node of every rank, numbered by their first ranks.
std::vector<int> nodes_of(Communicator& world, int node_ranks) {
  std::vector<int> nodes;
  if (node_ranks > 0) {
    for (int rank = 0; rank < world.size(); ++rank) nodes.push_back(rank / node_ranks);
    return nodes;
  }
  std::vector<std::string> hosts;
  for (const std::string& host : gather_texts(world, host_name(), "hosts of the nodes")) {
    auto known = std::ranges::find(hosts, host);
    nodes.push_back(static_cast<int>(known - hosts.begin()));
    if (known == hosts.end()) hosts.push_back(host);
  }
  return nodes;
}

// `all_` is a fresh one, whose first operation may take as long as a start.
Hierarchical::Hierarchical(Communicator& world, int node_ranks)
    : all_(world.split(0, world.rank())), nodes_(nodes_of(world, node_ranks)) {
  const int node = nodes_[static_cast<std::size_t>(rank())];
  up_ = world.split(node, rank());
  between_ = world.split(leads() ? 0 : 1, rank());
  down_ = world.split(node, rank());
  // Theirs are spent here.
  for (Communicator* group : {up_.get(), between_.get(), down_.get()}) group->barrier("levels of sums");
}

template <typename T>
std::unique_ptr<Pending> Hierarchical::start_sum(std::span<T> values, std::optional<int> root,
                                                 std::string_view label) {
  SHELFCAST_ASSERT(!root || (*root >= 0 && *root < size()));
  std::vector<Levels::Level> levels = {
      [this, values, name = std::string(label)] { return up_->start_reduce(values, 0, name); }};
  const int node_of_root = root ? nodes_[static_cast<std::size_t>(*root)] : 0;
  if (leads())
    levels.emplace_back([this, values, root, node_of_root, name = std::string(label)] {
      return root ? between_->start_reduce(values, node_of_root, name)
                  : between_->start_all_reduce(values, name);
    });
  // To whoever is to have it: for a root that leads its node, that is the end.
  const bool root_leads = root && std::ranges::find(nodes_, node_of_root) - nodes_.begin() == *root;
  if (!root || (node_of_root == nodes_[static_cast<std::size_t>(rank())] && !root_leads))
    levels.emplace_back([this, values, name = std::string(label)] {
      return down_->start_broadcast(std::as_writable_bytes(values), 0, name);
    });
  return std::make_unique<HierarchicalPending>(sums_, sums_->start(std::move(levels)));
}

}  // namespace

std::unique_ptr<Communicator> make_hierarchical(Communicator& world, int node_ranks) {
  return std::make_unique<Hierarchical>(world, node_ranks);
}

}  // namespace shelfcast::parallel
