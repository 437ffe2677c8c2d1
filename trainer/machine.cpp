#include "trainer/machine.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string_view>

namespace shelfcast::trainer {
namespace {

constexpr std::array<std::string_view, 5> kFeatures = {"avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16"};

// The text behind "key : " in a file of such lines; "" when absent.
std::string value_of(const std::filesystem::path& file, std::string_view key) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t colon = line.find(':');
    if (!line.starts_with(key) || colon == std::string::npos) continue;
    const std::size_t first = line.find_first_not_of(" \t", colon + 1);
    return first == std::string::npos ? "" : line.substr(first);
  }
  return "";
}

std::int64_t kibibytes_of(std::string_view key) {
  std::istringstream text(value_of("/proc/meminfo", key));
  std::int64_t kibibytes = 0;
  text >> kibibytes;
  return kibibytes * 1024;
}

// The first numbers of a control-group file; empty when it says "max" or is not there.
std::vector<double> numbers_in(const std::filesystem::path& file) {
  std::ifstream text(file);
  std::vector<double> numbers;
  for (double number = 0; text >> number;) numbers.push_back(number);
  return numbers;
}

// This process's folder in the (version 2) control-group tree.
std::filesystem::path control_group() {
  std::ifstream lines("/proc/self/cgroup");
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("0::/")) return std::filesystem::path("/sys/fs/cgroup") / line.substr(4);
  return "/sys/fs/cgroup";
}

std::vector<std::string> features_of(const std::string& flags) {
  std::vector<std::string> found;
  const std::string padded = " " + flags + " ";
  for (const std::string_view feature : kFeatures)
    if (padded.find(fmt::format(" {} ", feature)) != std::string::npos) found.emplace_back(feature);
  return found;
}

// The type of the mount that `folder` lies on: the longest mount point that is a prefix of it.
std::string file_system_of(const std::filesystem::path& folder) {
  std::ifstream lines("/proc/self/mounts");
  std::string best_type = "unknown";
  std::size_t best_length = 0;
  const std::string path = folder.string() + "/";
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string device, point, type;
    fields >> device >> point >> type;
    const std::string prefix = point == "/" ? point : point + "/";
    if (path.starts_with(prefix) && prefix.size() >= best_length) {
      best_length = prefix.size();
      best_type = type;
    }
  }
  return best_type;
}

class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  ~Descriptor() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

// flock is what HDF5 takes; two descriptors of one file exclude each other as two processes would.
std::string lock_problem(const std::filesystem::path& file) {
  const Descriptor first(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  const Descriptor second(::open(file.c_str(), O_RDWR | O_CLOEXEC));
  if (first.get() < 0 || second.get() < 0)
    return fmt::format("no file can be written here: {}", std::strerror(errno));
  if (::flock(first.get(), LOCK_EX | LOCK_NB) != 0)
    return fmt::format("no file can be locked: {}", std::strerror(errno));
  if (::flock(second.get(), LOCK_EX | LOCK_NB) == 0) return "file locks are accepted but keep nobody out";
  return "";
}

}  // namespace

Machine inspect_machine() {
  Machine machine;
  machine.cpu = value_of("/proc/cpuinfo", "model name");
  machine.features = features_of(value_of("/proc/cpuinfo", "flags"));
  cpu_set_t set;
  machine.cores = ::sched_getaffinity(0, sizeof(set), &set) == 0
                      ? CPU_COUNT(&set)
                      : static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
  machine.memory_bytes = kibibytes_of("MemTotal");
  machine.available_bytes = kibibytes_of("MemAvailable");
  const std::filesystem::path group = control_group();
  if (const auto quota = numbers_in(group / "cpu.max"); quota.size() == 2)
    machine.core_limit = quota[0] / quota[1];
  if (const auto limit = numbers_in(group / "memory.max"); limit.size() == 1)
    machine.memory_limit = static_cast<std::int64_t>(limit[0]);
  return machine;
}

FolderCheck check_folder(const std::filesystem::path& folder) {
  FolderCheck check;
  std::error_code ignored;
  const std::filesystem::path absolute = std::filesystem::weakly_canonical(folder, ignored);
  check.file_system = file_system_of(absolute);
  struct statvfs space {};
  if (::statvfs(absolute.c_str(), &space) == 0)
    check.free_bytes = static_cast<std::int64_t>(space.f_bavail) * static_cast<std::int64_t>(space.f_frsize);
  const std::filesystem::path probe = absolute / fmt::format(".shelfcast-doctor-{}", ::getpid());
  check.problem = lock_problem(probe);
  std::filesystem::remove(probe, ignored);
  return check;
}

std::string find_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (folder.empty()) continue;
    folder.append("/").append(name);
    if (::access(folder.c_str(), X_OK) == 0) return folder;
  }
  return "";
}

}  // namespace shelfcast::trainer
