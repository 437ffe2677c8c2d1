// A GPU module without a GPU: ranks that are threads, devices that are host memory, collectives that go on by
// themselves. What is above the module's table (waits, deadlines, failures, order) runs on it as on the real
// one.
#pragma once

#include <cstddef>

#include "parallel/gpu/gpu_module.h"

namespace shelfcast::parallel {

// One for the process; any number of groups at once. A collective ends when all ranks of its group have
// started it with the same sizes, and never if these differ.
const ShelfcastGpuOperations& gpu_twin();

// While it lives, this host memory counts as a device's.
class AdoptedByTwin {
 public:
  AdoptedByTwin(const void* memory, std::size_t bytes);
  ~AdoptedByTwin();
  AdoptedByTwin(const AdoptedByTwin&) = delete;
  AdoptedByTwin& operator=(const AdoptedByTwin&) = delete;

 private:
  const std::byte* memory_;
};

// The next collective that any group completes fails on all its ranks with this text, as after a lost link.
void break_next_collective_of_twin(const char* text);

// Collectives that were carried out so far.
std::int64_t collectives_of_twin();

}  // namespace shelfcast::parallel
