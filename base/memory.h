// How much memory this process holds, for logs and for telling why a run was killed.
#pragma once

#include <cstdint>

namespace shelfcast {

struct MemoryUse {
  std::int64_t resident_bytes = 0;  // in RAM now
  std::int64_t peak_bytes = 0;      // the most there ever was
};

// From /proc/self/status; zeros where that does not exist. Never throws.
MemoryUse memory_use() noexcept;

}  // namespace shelfcast
