#include "base/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <thread>

#include "base/clock.h"
#include "base/error.h"

namespace shelfcast {

FileLock::FileLock(const std::filesystem::path& path, std::chrono::milliseconds patience) {
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw io_error(fmt::format("cannot write {}", path.string()), errno);
  std::minstd_rand random(std::random_device{}());
  const auto until = Clock::now() + patience;
  auto pause = std::chrono::microseconds(500);
  while (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    const int failed = errno;
    if (failed == EINTR) continue;
    if (failed == EWOULDBLOCK && Clock::now() < until) {
      std::this_thread::sleep_for(pause * (50 + random() % 100) / 100);
      pause = std::min<std::chrono::microseconds>(pause * 3 / 2, std::chrono::milliseconds(200));
      continue;
    }
    ::close(descriptor_);
    if (failed == EWOULDBLOCK)
      throw Error(
          ErrorKind::timeout, fmt::format("{} is held by others", path.string()),
          fmt::format("waited {} s", std::chrono::duration_cast<std::chrono::seconds>(patience).count()),
          "see who works in this folder");
    throw io_error(fmt::format("cannot lock {}", path.string()), failed,
                   "keep shared folders on a file system with locks; `shelfcast doctor --folder` looks");
  }
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace shelfcast
