#include "parallel/nodes.h"

#include <algorithm>

#include "base/host.h"
#include "parallel/gather_texts.h"

namespace shelfcast::parallel {

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

}  // namespace shelfcast::parallel
