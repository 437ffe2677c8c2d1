#include "base/memory.h"

#include <algorithm>
#include <atomic>
#include <cstdio>

namespace shelfcast {
namespace {

std::atomic<std::int64_t> others_bytes{0};

}  // namespace

MemoryUse memory_use() noexcept {
  MemoryUse use;
  std::FILE* status = std::fopen("/proc/self/status", "re");
  if (status == nullptr) return use;
  char line[256];
  long long kib = 0;
  while (std::fgets(line, sizeof line, status) != nullptr) {
    if (std::sscanf(line, "VmRSS: %lld kB", &kib) == 1) use.resident_bytes = kib * 1024;
    if (std::sscanf(line, "VmHWM: %lld kB", &kib) == 1) use.peak_bytes = kib * 1024;
  }
  std::fclose(status);
  const std::int64_t others = others_bytes;
  use.resident_bytes = std::max<std::int64_t>(0, use.resident_bytes - others);
  use.peak_bytes = std::max(use.resident_bytes, use.peak_bytes - others);
  return use;
}

void count_others_memory(std::int64_t bytes) noexcept { others_bytes += bytes; }

}  // namespace shelfcast
