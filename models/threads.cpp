#include "models/threads.h"

// Compiled with OpenMP and without the precompiled header, which was made without: LibTorch's parallel_for is
// a template whose threads exist only in files compiled so.
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <atomic>
#include <exception>

namespace shelfcast::models {

void parallel_for(std::int64_t count, std::int64_t grain,
                  const std::function<void(std::int64_t first, std::int64_t last)>& body) {
  at::parallel_for(0, count, grain, body);
}

void run_tasks(std::int64_t count, const std::function<void(std::int64_t task)>& task) {
  std::atomic<std::int64_t> next{0};
  std::exception_ptr failure;
  // A team of one would not keep operations inside from making teams of their own; with one thread in all
  // there is nothing to keep.
  const int threads = at::get_num_threads();
#pragma omp parallel num_threads(threads)
  {
    const at::NoGradGuard no_grad;
    for (std::int64_t i = next++; i < count; i = next++) {
      try {
        task(i);
      } catch (...) {
#pragma omp critical(shelfcast_run_tasks)
        if (failure == nullptr) failure = std::current_exception();
        next = count;
      }
    }
  }
  if (failure != nullptr) std::rethrow_exception(failure);
}

}  // namespace shelfcast::models
