// Ranks that each have a GPU: NCCL between devices, another communicator between hosts.
#pragma once

#include <memory>

#include "parallel/communicator.h"
#include "parallel/gpu/gpu_module.h"

namespace shelfcast::parallel {

// The ranks of `host`, which carries what is in host memory, all bytes and barriers, and how NCCL's groups
// are found. Floats in device memory travel by NCCL on a stream of their own: behind the work that the
// device's default stream has by then, beside what it gets afterwards; when a call or a Pending's wait()
// returns, the result is there for any stream. Sums are the same bits on every rank and, with the same ranks
// and NCCL, in every run, but not those of the host back ends. `device`: this rank's, see choose_gpus.
// Collective. Throws Error(timeout) when ranks do not join within deadlines.start, Error(communication).
std::unique_ptr<Communicator> make_nccl(const std::shared_ptr<Communicator>& host,
                                        const ShelfcastGpuOperations& gpu, int device, Deadlines deadlines);

}  // namespace shelfcast::parallel
