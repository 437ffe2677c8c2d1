// Sums of gradients in two levels: in the node, between nodes, and back.
#pragma once

#include <memory>

#include "parallel/communicator.h"

namespace shelfcast::parallel {

// The ranks of `world`, whose start_all_reduce and start_reduce sum within each node first, then between one
// rank of each, its leader, and then hand the result on in the node: the network between nodes carries each
// number once a node and not once a rank. All else is `world`'s. Sums are taken by node and then in the order
// of nodes: the same bits on every rank and in every run, but others than those of `world`. Values of 16 bits
// are rounded once more, between the levels. progress() takes what was started from level to level, and so do
// waits and blocking collectives, which first end what was started.
//
// `node_ranks` ranks that follow each other are a node, the last one maybe smaller; 0: those on one host.
// `world` must outlive it. Collective.
std::unique_ptr<Communicator> make_hierarchical(Communicator& world, int node_ranks);

}  // namespace shelfcast::parallel
