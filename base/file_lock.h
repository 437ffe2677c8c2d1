// One process at a time, across the hosts of a shared file system.
#pragma once

#include <chrono>
#include <filesystem>

namespace shelfcast {

// Holds an exclusive flock on a file while it lives; the kernel gives it back when the process dies. Waits
// for its turn with growing, uneven pauses, so that hundreds of jobs do not ask in step.
class FileLock {
 public:
  // Throws Error(timeout) when others held it for `patience`, Error(io) when it cannot be opened or the file
  // system has no locks.
  explicit FileLock(const std::filesystem::path& path,
                    std::chrono::milliseconds patience = std::chrono::minutes(10));
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace shelfcast
