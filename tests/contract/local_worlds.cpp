// Worlds within one process: a single rank, and threads.
#include <fmt/format.h>

#include "parallel/launch.h"
#include "tests/contract/contract.h"

namespace shelfcast::parallel {

std::vector<World> worlds_under_test() {
  std::vector<World> worlds = {{"single", 1, [](const RankBody& body, Deadlines) { body(*make_single()); }}};
  for (const int ranks : {1, 2, 3, 5})
    worlds.push_back(
        {fmt::format("threads_{}", ranks), ranks, [ranks](const RankBody& body, Deadlines deadlines) {
           run_ranks_as_threads(ranks, body, deadlines);
         }});
  return worlds;
}

}  // namespace shelfcast::parallel
