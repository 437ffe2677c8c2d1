#include "parallel/hierarchical.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "parallel/levelled.h"
#include "parallel/nodes.h"

namespace shelfcast::parallel {
namespace {

class Hierarchical : public Levelled {
 public:
  Hierarchical(Communicator& world, int node_ranks);

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

 private:
  bool leads() const { return up_->rank() == 0; }
  template <typename T>
  std::unique_ptr<Pending> start_sum(std::span<T> values, std::optional<int> root, std::string_view label);

  std::vector<int> nodes_;  // of all ranks
  std::unique_ptr<Communicator> up_, between_, down_;
};

// What the rest goes through is a fresh group, whose first operation may take as long as a start.
Hierarchical::Hierarchical(Communicator& world, int node_ranks)
    : Levelled(world.split(0, world.rank())), nodes_(nodes_of(world, node_ranks)) {
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
  std::vector<Level> levels = {
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
  return start(std::move(levels));
}

}  // namespace

std::unique_ptr<Communicator> make_hierarchical(Communicator& world, int node_ranks) {
  return std::make_unique<Hierarchical>(world, node_ranks);
}

}  // namespace shelfcast::parallel
