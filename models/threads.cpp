#include "models/threads.h"

// Compiled with OpenMP and without the precompiled header, which was made without: LibTorch's parallel_for is
// a template whose threads exist only in files compiled so.
#include <ATen/Parallel.h>

namespace shelfcast::models {

void parallel_for(std::int64_t count, std::int64_t grain,
                  const std::function<void(std::int64_t first, std::int64_t last)>& body) {
  at::parallel_for(0, count, grain, body);
}

}  // namespace shelfcast::models
