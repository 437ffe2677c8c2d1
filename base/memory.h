// How much memory this process holds, for logs and for telling why a run was killed.
#pragma once

#include <cstdint>

namespace shelfcast {

// Without the memory of other processes that this one has mapped.
struct MemoryUse {
  std::int64_t resident_bytes = 0;  // in RAM now
  std::int64_t peak_bytes = 0;      // the most there ever was
};

// From /proc/self/status; zeros where that does not exist. Never throws.
MemoryUse memory_use() noexcept;

// So many more bytes, or fewer, of what this process has in RAM are other processes' memory.
void count_others_memory(std::int64_t bytes) noexcept;

}  // namespace shelfcast
