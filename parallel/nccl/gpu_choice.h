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
  int local_rank = 0, local_size = 1;  // among the ranks on that host
  GpuReport gpus;
};

// The index of the device a rank takes: the one of its number on the host, or with `share` the next one over
// and over when there are fewer GPUs than ranks. Throws Error(input) naming host and rank for: no driver, a
// driver older than the CUDA of this build, no GPU, fewer GPUs than ranks, a GPU too old, one that cannot be
// opened.
int choose_gpu(const RankGpus& rank, bool share);

// Chooses on every rank together: what is wrong on one comes out of all, naming the rank and its host. Two
// ranks on one device (as told by its UUID, whatever its number is) are an error unless `share`. Collective.
int choose_gpus(Communicator& ranks, const GpuReport& own, bool share);

}  // namespace shelfcast::parallel
