// Files that are either whole or absent: atomic writes, atomic folders, digests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace shelfcast {

// The whole file as bytes. Throws Error(io) naming the path when it cannot be read.
std::string read_file(const std::filesystem::path& path);

// Writes `bytes` beside `path`, flushes them to disk and renames: readers see the old file or the new one.
// A symbolic link stays, its target is replaced; what is not a regular file (a device, a pipe) is written to
// as it is. Throws Error(io) (full disk, permission) and leaves nothing half-written behind.
void write_file_atomically(const std::filesystem::path& path, std::string_view bytes);

// The same for a file too large to hold in memory twice: write() piece by piece, then commit(). The
// destructor removes what was not committed.
class AtomicFile {
 public:
  // Throws Error(io).
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  // Throws Error(io).
  void write(std::string_view bytes);
  // Flushes to disk and renames. Throws Error(io).
  void commit();

 private:
  std::filesystem::path path_, partial_;
  int descriptor_ = -1;
};

// A folder that appears under its final name only when commit() is called. Until then it is built under
// "<path>.partial-<pid>"; the destructor removes that if commit() was not reached.
class AtomicFolder {
 public:
  // Makes the folders above as needed. Throws Error(input) if `path` already exists, Error(io).
  explicit AtomicFolder(std::filesystem::path path);
  ~AtomicFolder();
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  // Where to write meanwhile.
  const std::filesystem::path& staging() const { return staging_; }
  // Flushes the staged files and renames. Throws Error(io), also when somebody else took the name meanwhile.
  void commit();

 private:
  std::filesystem::path path_, staging_;
  bool committed_ = false;
};

enum class Existing { refuse, replace };
// Flushes everything below `staging` to disk and renames it to `path`: the last act of AtomicFolder, for a
// folder that several processes filled. A folder of that name is refused or replaced; there is no moment
// without one or the other, but on file systems that cannot swap names. Throws Error(io).
void put_folder_in_place(const std::filesystem::path& staging, const std::filesystem::path& path,
                         Existing existing = Existing::refuse);

// Lets the symbolic link `link` point to `target` (relative to the link's folder, as in `ln -s`): whoever
// follows it finds the old target or the new one. Throws Error(io).
void swap_link(const std::filesystem::path& target, const std::filesystem::path& link);

// Makes a folder and everything below it durable. Throws Error(io).
void flush_folder(const std::filesystem::path& folder);

// After a crash: a folder that put_folder_in_place had moved aside, and not yet replaced, gets its name back.
// `parent` is the folder above. Throws Error(io).
void recover_replaced_folders(const std::filesystem::path& parent);

// A read-only memory map of a whole file. Movable; unmaps in the destructor.
class MappedFile {
 public:
  // Throws Error(io) naming the path.
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // Says that `part` of bytes() is not needed for now, so that it no longer counts as this process' memory.
  // Reading it again reads the file again.
  void release(std::span<const std::byte> part) const;

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// Checksums are XXH3-128, written "xxh3:<32 hex digits>": fast enough to check on every read; they guard
// against damage, not against malice.
std::string digest_bytes(std::span<const std::byte> bytes);
std::string digest_text(std::string_view text);
// Throws Error(io) naming the path.
std::string digest_file(const std::filesystem::path& path);

}  // namespace shelfcast
