#include "parallel/mpi/shared_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <utility>

#include "base/memory.h"

namespace shelfcast::parallel {
namespace {

constexpr std::size_t kPage = 4096;

// Null where it cannot be mapped. Large pages, if the system gives them: each is touched all through.
std::byte* map_file(int file, std::size_t size) {
  void* const memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED) return nullptr;
  ::madvise(memory, size, MADV_HUGEPAGE);
  return static_cast<std::byte*>(memory);
}

// Tells files apart on one machine, whatever paths lead to them.
std::string identity_of(int file) {
  struct stat status = {};
  return ::fstat(file, &status) == 0 ? fmt::format("{}:{}:{}", status.st_dev, status.st_ino, status.st_size)
                                     : "";
}

}  // namespace

// A file without a name: nothing is left of it once its ranks are gone, however they went.
std::shared_ptr<SharedMemory> SharedMemory::make(std::size_t bytes) {
  const int file = ::memfd_create("shelfcast", MFD_CLOEXEC);
  if (file < 0) return nullptr;
  std::byte* const own = ::ftruncate(file, static_cast<off_t>(bytes)) == 0 ? map_file(file, bytes) : nullptr;
  if (own == nullptr) {
    ::close(file);
    return nullptr;
  }
  return std::shared_ptr<SharedMemory>(new SharedMemory(file, own, bytes));
}

SharedMemory::~SharedMemory() {
  close();
  ::munmap(own_, size_);
  for (const auto& [rank, other] : others_) ::munmap(other.memory, size_);
  count_others_memory(-counted_);
}

std::string SharedMemory::address() const {
  return fmt::format("/proc/{}/fd/{} {}", ::getpid(), file_, identity_of(file_));
}

bool SharedMemory::map(int rank, const std::string& address) {
  const std::size_t space = address.find(' ');
  if (space == std::string::npos) return false;
  const int file = ::open(address.substr(0, space).c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) return false;
  // Where processes are numbered apart, as in containers, the path may lead to something else.
  const std::string identity = identity_of(file);
  const bool is_it = identity == address.substr(space + 1) && identity.ends_with(fmt::format(":{}", size_));
  std::byte* const memory = is_it ? map_file(file, size_) : nullptr;
  ::close(file);
  if (memory == nullptr) return false;
  others_[rank] = {memory, std::vector<bool>((size_ + kPage - 1) / kPage)};
  return true;
}

void SharedMemory::close() {
  if (file_ >= 0) ::close(std::exchange(file_, -1));
}

std::optional<std::size_t> SharedMemory::offset_of(std::span<const std::byte> values) const {
  const std::less_equal<const std::byte*> not_after;  // also of pointers into different arrays
  if (values.empty() || !not_after(own_, values.data()) ||
      !not_after(values.data() + values.size(), own_ + size_))
    return std::nullopt;
  return static_cast<std::size_t>(values.data() - own_);
}

std::byte* SharedMemory::of(int rank) const {
  const auto found = others_.find(rank);
  return found == others_.end() ? nullptr : found->second.memory;
}

void SharedMemory::touch(int rank, std::size_t offset, std::size_t bytes) {
  const auto other = others_.find(rank);
  if (other == others_.end() || bytes == 0) return;
  std::int64_t pages = 0;
  for (std::size_t page = offset / kPage; page <= (offset + bytes - 1) / kPage; ++page) {
    pages += other->second.touched[page] ? 0 : 1;
    other->second.touched[page] = true;
  }
  counted_ += pages * static_cast<std::int64_t>(kPage);
  count_others_memory(pages * static_cast<std::int64_t>(kPage));
}

}  // namespace shelfcast::parallel
