// Shares within a node, the same in every node: what FSDP calls hybrid sharding.
#pragma once

#include <memory>

#include "parallel/communicator.h"

namespace shelfcast::parallel {

struct NodeShares {
  std::unique_ptr<Communicator> ranks;  // of this rank's node
  int node = 0, nodes = 1;              // which of how many it is
};

// The ranks of this rank's node, whose start_reduce sums over all ranks of `world`: within each node to its
// rank `root`, then between those of all nodes, each of which has the sum then. All else is the node's. So
// what its ranks share out has the latencies of a node at any number of nodes. Sums are taken by node and
// then in the order of nodes, as make_hierarchical() takes them; values of 16 bits are rounded once more.
//
// Nodes as in nodes_of(). Throws Error(input), on every rank, when they have different numbers of ranks:
// their shares would not meet. `world` must outlive it. Collective.
NodeShares make_node_shares(Communicator& world, int node_ranks);

}  // namespace shelfcast::parallel
