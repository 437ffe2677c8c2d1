// Loops shared among the threads inside an operation: as many as at::set_num_threads says.
#pragma once

#include <cstdint>
#include <functional>

namespace shelfcast::models {

// Calls body(first, last) on disjoint pieces of [0, count), each at least `grain` long. Bodies must not touch
// tensors, only their data; what they compute must not depend on how the range was cut. May be called from
// any thread.
void parallel_for(std::int64_t count, std::int64_t grain,
                  const std::function<void(std::int64_t first, std::int64_t last)>& body);

// Calls task(0) .. task(count - 1) side by side, each with a single thread inside its operations: so what a
// task computes is the same for any number of threads. Tasks may use tensors, without gradients. The first
// exception is thrown again at the end, and tasks not yet begun are left out.
void run_tasks(std::int64_t count, const std::function<void(std::int64_t task)>& task);

}  // namespace shelfcast::models
