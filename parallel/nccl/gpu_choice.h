// Which GPU each rank takes, and what is wrong when that does not work out.
#pragma once

#include <string>
#include <vector>

#include "parallel/communicator.h"
#include "parallel/gpu/gpu_loader.h"

namespace shelfcast::parallel {

// What one rank found on its host.
struct RankGpus {
  std::string host;
  int local_rank = 0;  // among the ranks on that host
  GpuReport gpus;
};

// The index of the device a rank takes: the one of its number on the host, over and over where it sees fewer
// (it may see its own alone, as Slurm's --gpus-per-task binds them). Throws Error(input) naming host and rank
// for: no driver, a driver older than the CUDA of this build, no GPU, a GPU too old, one that cannot be
// opened.
int choose_gpu(const RankGpus& rank);

// Chooses on every rank together: what is wrong on one comes out of all, naming the rank and its host. Two
// ranks on one device (as told by its UUID, whatever its number is) are an error unless `share`. Where some
// share one, NCCL is told that every rank is a host of its own, or it would take them for a mistake;
// elsewhere it is not, because such ranks reach each other through the network alone. Collective.
int choose_gpus(Communicator& ranks, const GpuReport& own, bool share);

}  // namespace shelfcast::parallel
