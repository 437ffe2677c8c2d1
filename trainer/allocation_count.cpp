#include "trainer/allocation_count.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <atomic>

namespace shelfcast::trainer {
namespace {

// Passes everything on to LibTorch's own allocator and keeps count. Never destroyed: tensors outlive any
// scope.
class CountingAllocator final : public c10::Allocator {
 public:
  explicit CountingAllocator(c10::Allocator* inner) : inner_(inner) {}

  c10::DataPtr allocate(std::size_t bytes) override {
    auto* block = new Block{inner_->allocate(bytes), static_cast<std::int64_t>(bytes), this};
    void* const data = block->memory.get();
    const std::int64_t now = live_.fetch_add(block->bytes) + block->bytes;
    std::int64_t most = most_.load();
    while (now > most && !most_.compare_exchange_weak(most, now)) {
    }
    return {data, block, &release, block->memory.device()};
  }
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
    CountingAllocator* owner;
  };
  static void release(void* context) {
    auto* block = static_cast<Block*>(context);
    block->owner->live_.fetch_sub(block->bytes);
    delete block;
  }

  c10::Allocator* inner_;
  std::atomic<std::int64_t> live_{0}, most_{0};
};

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
  static CountingAllocator* const allocator = new CountingAllocator(c10::GetCPUAllocator());
  const Installed installed(*allocator);
  const std::int64_t before = allocator->begin();
  work();
  return allocator->most() - before;
}

}  // namespace shelfcast::trainer
