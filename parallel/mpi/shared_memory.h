// Memory that every rank of a host reaches into.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace shelfcast::parallel {

// As many bytes of this rank, zero at first, and those of other processes on this host beside them. MPI
// copies what it hands from process to process; whoever shares memory adds up in place.
class SharedMemory {
 public:
  // This rank's; null where the system gives none.
  static std::shared_ptr<SharedMemory> make(std::size_t bytes);
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  std::byte* own() const { return own_; }
  // Where other processes find it, until close().
  std::string address() const;
  // Takes in the memory of `rank` that has this address; false where it cannot be reached, or is not of this
  // size.
  bool map(int rank, const std::string& address);
  // All who need it have mapped it.
  void close();

  // Where `values` begin in own(); none: not inside.
  std::optional<std::size_t> offset_of(std::span<const std::byte> values) const;
  // The memory of another rank; null: not mapped.
  std::byte* of(int rank) const;
  // So many bytes of another rank's are read or written: memory_use() leaves them out from now on.
  void touch(int rank, std::size_t offset, std::size_t bytes);

 private:
  SharedMemory(int file, std::byte* own, std::size_t size) : file_(file), own_(own), size_(size) {}

  struct Other {
    std::byte* memory = nullptr;
    std::vector<bool> touched;  // of its pages
  };

  int file_;  // -1: closed
  std::byte* own_;
  std::size_t size_;
  std::map<int, Other> others_;  // by rank
  std::int64_t counted_ = 0;     // bytes of others
};

}  // namespace shelfcast::parallel
