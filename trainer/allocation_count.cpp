#include "trainer/allocation_count.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace shelfcast::trainer {
namespace {

class CountingAllocator;
CountingAllocator& counting_allocator();

// Passes everything on to LibTorch's own allocator and keeps count.
class CountingAllocator final : public c10::Allocator {
 public:
  explicit CountingAllocator(c10::Allocator* inner) : inner_(inner) {}

  c10::DataPtr allocate(std::size_t bytes) override {
    c10::DataPtr memory = inner_->allocate(bytes);
    void* const data = memory.get();
    const c10::Device device = memory.device();
    const auto size = static_cast<std::int64_t>(bytes);
    if (data != nullptr) {
      const std::lock_guard lock(mutex_);
      blocks_.emplace(data, Block{std::move(memory), size});
    }
    const std::int64_t now = live_.fetch_add(size) + size;
    std::int64_t most = most_.load();
    while (now > most && !most_.compare_exchange_weak(most, now)) {
    }
    return {data, data, &release, device};
  }
  // Some operators want plain memory, whose context is the memory itself.
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, std::size_t count) const override {
    default_copy_data(to, from, count);
  }

  c10::Allocator* inner() const { return inner_; }
  std::int64_t begin() {
    const std::int64_t live = live_.load();
    most_.store(live);
    return live;
  }
  std::int64_t most() const { return most_.load(); }

 private:
  struct Block {
    c10::DataPtr memory;
    std::int64_t bytes;
  };
  static void release(void* data) { counting_allocator().forget(data); }
  void forget(void* data) {
    if (data == nullptr) return;
    Block freed;
    {
      const std::lock_guard lock(mutex_);
      const auto found = blocks_.find(data);
      freed = std::move(found->second);
      blocks_.erase(found);
    }
    live_.fetch_sub(freed.bytes);
  }

  std::mutex mutex_;
  std::unordered_map<void*, Block> blocks_;  // by their memory
  c10::Allocator* inner_;
  std::atomic<std::int64_t> live_{0}, most_{0};
};

// Made before it is first installed and never destroyed: tensors outlive any scope.
CountingAllocator& counting_allocator() {
  static CountingAllocator* const allocator = new CountingAllocator(c10::GetCPUAllocator());
  return *allocator;
}

constexpr std::uint8_t kPriority = 255;  // later calls of the same priority win

// While it lives, new tensors come from the counting allocator.
class Installed {
 public:
  explicit Installed(CountingAllocator& allocator) : allocator_(allocator) {
    c10::SetCPUAllocator(&allocator, kPriority);
  }
  ~Installed() { c10::SetCPUAllocator(allocator_.inner(), kPriority); }
  Installed(const Installed&) = delete;
  Installed& operator=(const Installed&) = delete;

 private:
  CountingAllocator& allocator_;
};

}  // namespace

std::int64_t peak_tensor_bytes(const std::function<void()>& work) {
  CountingAllocator& allocator = counting_allocator();
  const Installed installed(allocator);
  const std::int64_t before = allocator.begin();
  work();
  return allocator.most() - before;
}

}  // namespace shelfcast::trainer
