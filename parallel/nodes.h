// Which ranks are a node.
#pragma once

#include <vector>

#include "parallel/communicator.h"

namespace shelfcast::parallel {

// The node of every rank, numbered by their first ranks: `node_ranks` ranks that follow each other, the last
// node maybe smaller; 0: the ranks on one host. Collective.
std::vector<int> nodes_of(Communicator& world, int node_ranks);

}  // namespace shelfcast::parallel
