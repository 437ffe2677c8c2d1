#include "trainer/run/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"

namespace shelfcast::trainer {
namespace {

namespace fs = std::filesystem;

fs::path lock_path(const fs::path& run) { return run / "run.lock"; }

// 0: it is ours now; else errno.
int try_lock(int descriptor) { return ::flock(descriptor, LOCK_EX | LOCK_NB) == 0 ? 0 : errno; }

std::string our_name() { return fmt::format("host {}, process {}", log::identity().host, ::getpid()); }

// "host n17" of "host n17, process 4242".
std::string host_part(const std::string& name) { return name.substr(0, name.find(',')); }

}  // namespace

RunLock::RunLock(const fs::path& run, std::chrono::seconds patience) {
  const fs::path path = lock_path(run);
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw io_error(fmt::format("cannot write {}", path.string()), errno);
  const auto began = std::chrono::steady_clock::now(), until = began + patience;
  bool warned = false;
  int failed = 0;
  while ((failed = try_lock(descriptor_)) == EWOULDBLOCK) {
    const std::string holder = read_file(path);
    // On this host the kernel gives locks back at once; only `stop` looking at it may hold it for a moment.
    const bool here = host_part(holder) == host_part(our_name());
    const auto now = std::chrono::steady_clock::now();
    if (now >= until || (here && now >= began + std::chrono::seconds(1))) {
      ::close(descriptor_);
      throw input_error(fmt::format("{} is being trained by another process", run.string()), holder,
                        "wait for it, ask it to leave with `shelfcast stop`, or choose another run.dir");
    }
    if (!here && !std::exchange(warned, true))
      log::warn("{} is still locked by {} - waiting for it to be given back", run.string(), holder);
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  if (failed != 0) {
    log::warn("{} cannot be locked ({}) - nothing keeps a second training out of this folder", run.string(),
              std::generic_category().message(failed));
    return;
  }
  // Only for people and for `stop`: whether the lock is held decides.
  const std::string name = our_name();
  if (::ftruncate(descriptor_, 0) != 0 || ::pwrite(descriptor_, name.data(), name.size(), 0) < 0)
    log::warn("cannot write {}", path.string());
}

RunLock::~RunLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::optional<std::string> RunLock::holder(const fs::path& run) {
  const fs::path path = lock_path(run);
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return std::nullopt;
  const int failed = try_lock(descriptor);
  ::close(descriptor);
  if (failed != EWOULDBLOCK) return std::nullopt;
  return read_file(path);
}

bool RunLock::wait_until_free_here(const fs::path& run, const std::function<bool()>& leaves) {
  bool said = false;
  for (auto held = holder(run); held && host_part(*held) == host_part(our_name()); held = holder(run)) {
    if (leaves()) return false;
    if (!std::exchange(said, true))
      log::all("{} is still being trained by {} - waiting for it to save and leave", run.string(), *held);
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  return !leaves();
}

void StopRequest::make() const { write_file_atomically(path_, "asked by shelfcast stop\n"); }

bool StopRequest::there() {
  const auto now = std::chrono::steady_clock::now();
  if (there_ || now - looked_ < std::chrono::seconds(1)) return there_;
  looked_ = now;
  std::error_code failed;
  return there_ = fs::exists(path_, failed);
}

void StopRequest::remove() const {
  std::error_code failed;
  fs::remove(path_, failed);
}

}  // namespace shelfcast::trainer
