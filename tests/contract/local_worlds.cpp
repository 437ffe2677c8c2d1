// Worlds within one process: a single rank, threads, and threads with NCCL's twin between them.
#include <fmt/format.h>

#include "parallel/hierarchical.h"
#include "parallel/launch.h"
#include "parallel/nccl/nccl_communicator.h"
#include "tests/contract/contract.h"
#include "tests/contract/gpu_twin.h"
#include "tests/contract/on_device.h"

namespace shelfcast::parallel {

std::vector<World> worlds_under_test() {
  std::vector<World> worlds = {{"single", 1, [](const RankBody& body, Deadlines) { body(*make_single()); }}};
  for (const int ranks : {1, 2, 3, 5})
    worlds.push_back(
        {fmt::format("threads_{}", ranks), ranks, [ranks](const RankBody& body, Deadlines deadlines) {
           run_ranks_as_threads(ranks, body, deadlines);
         }});
  for (const int ranks : {1, 2, 3, 5})
    worlds.push_back(
        {.name = fmt::format("nccl_twin_{}", ranks),
         .size = ranks,
         .run =
             [ranks](const RankBody& body, Deadlines deadlines) {
               run_ranks_as_threads(
                   ranks,
                   [&](Communicator& host) {
                     body(*on_device(make_nccl({std::shared_ptr<void>(), &host}, gpu_twin(), 0, deadlines),
                                     gpu_twin(), 0));
                   },
                   deadlines);
             },
         .adds_in_float = false,
         .names_the_late = false});
  for (const int node_ranks : {1, 2, 3})
    worlds.push_back({.name = fmt::format("threads_5_in_nodes_of_{}", node_ranks),
                      .size = 5,
                      .run =
                          [node_ranks](const RankBody& body, Deadlines deadlines) {
                            run_ranks_as_threads(
                                5, [&](Communicator& flat) { body(*make_hierarchical(flat, node_ranks)); },
                                deadlines);
                          },
                      .sums_in_rank_order = false,
                      .names_the_late = true});
  return worlds;
}

}  // namespace shelfcast::parallel
