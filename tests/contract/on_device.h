// The contract's buffers are host memory. On ranks with GPUs its floats are carried to the device and back.
#pragma once

#include <memory>

#include "parallel/communicator.h"
#include "parallel/gpu/gpu_module.h"

namespace shelfcast::parallel {

// `inner` with every float collective on memory of `device`; all else as it is. `gpu` must outlive it.
std::unique_ptr<Communicator> on_device(std::unique_ptr<Communicator> inner,
                                        const ShelfcastGpuOperations& gpu, int device);

}  // namespace shelfcast::parallel
