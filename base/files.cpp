#include "base/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "base/activity.h"
#include "base/durable.h"
#include "base/error.h"
#include "base/log.h"

namespace shelfcast {
namespace {

namespace fs = std::filesystem;

// A file descriptor that is closed on every path out.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int number() const { return number_; }
  bool is_open() const { return number_ >= 0; }

 private:
  int number_;
};

Descriptor open_to_read(const fs::path& path) {
  const activity::Operation watched(activity::Kind::file, path.native());
  const int number = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (number < 0) throw io_error("cannot read " + path.string(), errno);
  return Descriptor(number);
}

// Size of an open regular file.
std::size_t size_of_file(const Descriptor& file, const fs::path& path) {
  struct stat status {};
  if (::fstat(file.number(), &status) != 0) throw io_error("cannot read " + path.string(), errno);
  if (S_ISDIR(status.st_mode)) throw io_error("cannot read " + path.string(), EISDIR);
  return static_cast<std::size_t>(status.st_size);
}

// Reads up to `size` bytes; returns 0 at the end of the file.
std::size_t read_some(const Descriptor& file, char* to, std::size_t size, const fs::path& path) {
  const activity::Operation watched(activity::Kind::file, path.native());
  while (true) {
    const ssize_t count = ::read(file.number(), to, size);
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno != EINTR) throw io_error("cannot read " + path.string(), errno);
  }
}

// Creates "<path>.partial-<pid>[-n]". The name is new even when a crashed process with our pid left one
// behind, and when several threads write the same path.
std::pair<int, fs::path> create_beside(const fs::path& path) {
  const activity::Operation watched(activity::Kind::file, path.native());
  for (int attempt = 0; attempt < 1000; ++attempt) {
    fs::path name = path;
    name += fmt::format(".partial-{}", ::getpid());
    if (attempt > 0) name += fmt::format("-{}", attempt);
    const int number = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (number >= 0) return {number, name};
    if (errno != EEXIST) throw io_error("cannot write " + path.string(), errno);
  }
  throw io_error("cannot write " + path.string(), EEXIST, "remove the *.partial-* files beside it");
}

constexpr int kMostLinks = 40;  // as the kernel

// Where a file written to `path` has to go: links are followed, also to a file that is not there yet, so that
// it is their target that a rename replaces.
fs::path behind_links(const fs::path& path) {
  fs::path at = path;
  std::error_code failed;
  for (int link = 0; fs::is_symlink(at, failed); ++link) {
    if (link == kMostLinks) throw io_error("cannot write " + path.string(), ELOOP);
    const fs::path target = fs::read_symlink(at, failed);
    if (failed) throw io_error("cannot write " + path.string(), failed.value());
    at = at.parent_path() / target;  // an absolute target stands for itself
  }
  return at;
}

// A device, a pipe or a socket, which cannot be replaced, only written to.
bool takes_bytes_at_once(const fs::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
}

// In pieces, each of which a file system that works takes soon. Returns errno or 0.
int write_all(int number, std::string_view bytes, const fs::path& path) {
  constexpr std::size_t kPiece = std::size_t{16} << 20;
  while (!bytes.empty()) {
    const activity::Operation watched(activity::Kind::file, path.native());
    const ssize_t count = ::write(number, bytes.data(), std::min(bytes.size(), kPiece));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return 0;
}

fs::path parent_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

// Renames a folder to a name that must be free. Returns errno or 0.
int rename_to_free_name(const fs::path& from, const fs::path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  // Not every file system knows RENAME_NOREPLACE; plain rename replaces an empty folder only.
  if (fs::exists(fs::symlink_status(to))) return EEXIST;
  return ::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

constexpr const char* kReplaced = ".replaced";  // added to the name of a folder moved aside

// Puts `from` under the name of the folder `to`, which is removed. Returns errno or 0.
int swap_and_remove(const fs::path& from, const fs::path& to) {
  fs::path old = from;
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) != 0) {
    if (errno != EINVAL && errno != ENOSYS) return errno;
    old = to.string() + kReplaced;
    if (::rename(to.c_str(), old.c_str()) != 0 || ::rename(from.c_str(), to.c_str()) != 0) return errno;
  }
  int flushed = flush_to_disk(parent_of(to));
  std::error_code failed;
  fs::remove_all(old, failed);
  if (failed) log::warn("cannot remove {} ({})", old.string(), failed.message());
  return flushed;
}

std::string to_text(XXH128_hash_t hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  std::string text = "xxh3:";
  for (const unsigned char byte : canonical.digest) text += fmt::format("{:02x}", byte);
  return text;
}

}  // namespace

int flush_to_disk(const fs::path& path) {
  const activity::Operation watched(activity::Kind::file, path.native());
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) return errno;
  if (::fsync(file.number()) == 0) return 0;
  // Some file systems cannot flush a folder and say so with EINVAL; their renames are durable by themselves.
  return errno == EINVAL ? 0 : errno;
}

std::string read_file(const fs::path& path) {
  const Descriptor file = open_to_read(path);
  // Files in /proc say 0 bytes and still have some, so the size is a hint and the end is where reading stops.
  std::string bytes(size_of_file(file, path) + 1, '\0');
  std::size_t filled = 0;
  while (const std::size_t count = read_some(file, bytes.data() + filled, bytes.size() - filled, path)) {
    filled += count;
    if (filled == bytes.size()) bytes.resize(bytes.size() * 2);
  }
  bytes.resize(filled);
  return bytes;
}

void write_file_atomically(const fs::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)) {
  if (takes_bytes_at_once(path_)) {
    // Nobody watches how long this takes: a pipe waits for its reader.
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor_ < 0) throw io_error("cannot write " + path_.string(), errno);
    return;
  }
  path_ = behind_links(path_);
  std::tie(descriptor_, partial_) = create_beside(path_);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!partial_.empty()) ::unlink(partial_.c_str());
}

void AtomicFile::write(std::string_view bytes) {
  SHELFCAST_ASSERT(descriptor_ >= 0);
  if (const int failed = write_all(descriptor_, bytes, path_); failed != 0)
    throw io_error("cannot write " + path_.string(), failed);
}

void AtomicFile::commit() {
  SHELFCAST_ASSERT(descriptor_ >= 0);
  const activity::Operation watched(activity::Kind::file, path_.native());
  int failed = ::fsync(descriptor_) == 0 ? 0 : errno;
  if (partial_.empty() && (failed == EINVAL || failed == ENOTSUP)) failed = 0;  // a device holds nothing back
  // Network file systems may report a full disk only when the file is closed.
  if (::close(std::exchange(descriptor_, -1)) != 0 && failed == 0) failed = errno;
  if (failed == 0 && !partial_.empty() && ::rename(partial_.c_str(), path_.c_str()) != 0) failed = errno;
  if (failed != 0) throw io_error("cannot write " + path_.string(), failed);
  if (partial_.empty()) return;
  partial_.clear();
  failed = flush_to_disk(parent_of(path_));
  if (failed != 0) throw io_error("cannot flush the folder of " + path_.string(), failed);
}

AtomicFolder::AtomicFolder(fs::path path) : path_(std::move(path)) {
  if (path_.filename().empty()) path_ = path_.parent_path();  // "name/" is "name"
  if (fs::exists(fs::symlink_status(path_)))
    throw input_error(path_.string() + " already exists", {}, "choose another name or remove it");
  staging_ = path_;
  staging_ += ".partial-" + std::to_string(::getpid());
  std::error_code failed;
  // What is there under this name belonged to a process of the same pid that crashed.
  fs::remove_all(staging_, failed);
  if (!failed) fs::create_directories(staging_, failed);
  if (failed) throw io_error("cannot make the folder " + staging_.string(), failed.value());
}

AtomicFolder::~AtomicFolder() {
  if (committed_) return;
  std::error_code failed;
  fs::remove_all(staging_, failed);
  if (failed) log::warn("cannot remove {} ({})", staging_.string(), failed.message());
}

void AtomicFolder::commit() {
  SHELFCAST_ASSERT(!committed_);
  put_folder_in_place(staging_, path_);
  committed_ = true;
}

void swap_link(const fs::path& target, const fs::path& link) {
  fs::path beside = link;
  beside += ".partial";
  std::error_code failed;
  fs::remove(beside, failed);  // a crash may have left it
  if (::symlink(target.c_str(), beside.c_str()) != 0 || ::rename(beside.c_str(), link.c_str()) != 0)
    throw io_error("cannot make the link " + link.string(), errno);
  if (const int unflushed = flush_to_disk(parent_of(link)); unflushed != 0)
    throw io_error("cannot flush the folder of " + link.string(), unflushed);
}

void flush_folder(const fs::path& folder) {
  std::error_code listing;
  for (auto entry = fs::recursive_directory_iterator(folder, listing);
       !listing && entry != fs::recursive_directory_iterator(); entry.increment(listing)) {
    if (entry->is_symlink()) continue;
    if (const int failed = flush_to_disk(entry->path()); failed != 0)
      throw io_error("cannot flush " + entry->path().string(), failed);
  }
  if (listing) throw io_error("cannot list " + folder.string(), listing.value());
  if (const int failed = flush_to_disk(folder); failed != 0)
    throw io_error("cannot flush " + folder.string(), failed);
}

void put_folder_in_place(const fs::path& staging, const fs::path& path, Existing existing) {
  flush_folder(staging);
  int failed = existing == Existing::replace && fs::exists(path) ? swap_and_remove(staging, path)
                                                                 : rename_to_free_name(staging, path);
  if (failed != 0) throw io_error("cannot put " + path.string() + " in place", failed);
  failed = flush_to_disk(parent_of(path));
  if (failed != 0) throw io_error("cannot flush the folder of " + path.string(), failed);
}

void recover_replaced_folders(const fs::path& parent) {
  std::vector<fs::path> aside;
  std::error_code failed;
  for (auto entry = fs::directory_iterator(parent, failed); !failed && entry != fs::directory_iterator();
       entry.increment(failed))
    if (entry->path().extension() == kReplaced) aside.push_back(entry->path());
  for (const fs::path& old : aside) {
    fs::path name = old;
    name.replace_extension();
    if (fs::exists(name, failed))
      fs::remove_all(old, failed);
    else
      fs::rename(old, name, failed);
    if (failed) throw io_error("cannot tidy up " + old.string(), failed.value());
  }
}

MappedFile::MappedFile(const fs::path& path) {
  const Descriptor file = open_to_read(path);
  const std::size_t size = size_of_file(file, path);
  if (size == 0) return;  // an empty range cannot be mapped
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.number(), 0);
  if (address == MAP_FAILED) throw io_error("cannot map " + path.string(), errno);
  data_ = static_cast<const std::byte*>(address);
  size_ = size;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::release(std::span<const std::byte> part) const {
  // Whole pages inside `part` only: others hold neighbours.
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(part.data());
  const std::uintptr_t first = (begin + page - 1) / page * page, last = (begin + part.size()) / page * page;
  if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

std::string digest_bytes(std::span<const std::byte> bytes) {
  return to_text(XXH3_128bits(bytes.data(), bytes.size()));
}

std::string digest_text(std::string_view text) { return to_text(XXH3_128bits(text.data(), text.size())); }

std::string digest_file(const fs::path& path) {
  const Descriptor file = open_to_read(path);
  size_of_file(file, path);  // a folder is refused here
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(), &XXH3_freeState);
  if (!state || XXH3_128bits_reset(state.get()) != XXH_OK) throw std::bad_alloc();
  std::vector<char> buffer(std::size_t{1} << 20);
  while (const std::size_t count = read_some(file, buffer.data(), buffer.size(), path))
    XXH3_128bits_update(state.get(), buffer.data(), count);
  return to_text(XXH3_128bits_digest(state.get()));
}

}  // namespace shelfcast
