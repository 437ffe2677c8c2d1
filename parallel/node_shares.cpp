#include "parallel/node_shares.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "parallel/levelled.h"
#include "parallel/nodes.h"

namespace shelfcast::parallel {
namespace {

class NodeRanks : public Levelled {
 public:
  NodeRanks(std::unique_ptr<Communicator> node, std::unique_ptr<Communicator> across)
      : Levelled(std::move(node)), across_(std::move(across)) {
    // A fresh group's first operation may take as long as a start.
    for (Communicator* group : {&rest(), across_.get()}) group->barrier("groups of shares");
  }

  std::unique_ptr<Pending> start_reduce(std::span<float> values, int root, std::string_view label) override {
    return start_sum(values, root, label);
  }
  std::unique_ptr<Pending> start_reduce(std::span<BFloat16> values, int root,
                                        std::string_view label) override {
    return start_sum(values, root, label);
  }

 private:
  template <typename T>
  std::unique_ptr<Pending> start_sum(std::span<T> values, int root, std::string_view label) {
    std::vector<Level> levels = {
        [this, values, root, name = std::string(label)] { return rest().start_reduce(values, root, name); }};
    if (rank() == root)
      levels.emplace_back(
          [this, values, name = std::string(label)] { return across_->start_all_reduce(values, name); });
    return start(std::move(levels));
  }

  std::unique_ptr<Communicator> across_;  // this rank and its counterparts, in the order of nodes
};

}  // namespace

NodeShares make_node_shares(Communicator& world, int node_ranks) {
  const std::vector<int> nodes = nodes_of(world, node_ranks);
  const auto ranks_of = [&](int node) { return std::ranges::count(nodes, node); };
  for (const int node : nodes)
    if (ranks_of(node) != ranks_of(0))
      throw input_error(
          "parallel.zero_within=node needs as many ranks on every node",
          fmt::format("node 0 has {} of the {} ranks, node {} has {}", ranks_of(0), nodes.size(), node,
                      ranks_of(node)),
          "start as many ranks on every host, set parallel.node_ranks to a number that divides them, or "
          "parallel.zero_within: run");
  const int node = nodes[static_cast<std::size_t>(world.rank())];
  std::unique_ptr<Communicator> own = world.split(node, world.rank());
  std::unique_ptr<Communicator> across = world.split(own->rank(), node);
  const int nodes_in_all = across->size();
  return {std::make_unique<NodeRanks>(std::move(own), std::move(across)), node, nodes_in_all};
}

}  // namespace shelfcast::parallel
