#include "base/memory.h"

#include <cstdio>

namespace shelfcast {

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
  return use;
}

}  // namespace shelfcast
