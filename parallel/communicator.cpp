#include "parallel/communicator.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace shelfcast::parallel {

std::shared_ptr<std::byte> Communicator::allocate(std::size_t bytes, std::string_view /*label*/) {
  constexpr std::align_val_t kCacheLine{64};
  auto* const memory = static_cast<std::byte*>(::operator new(std::max<std::size_t>(bytes, 1), kCacheLine));
  std::memset(memory, 0, bytes);
  return {memory, [](std::byte* own) { ::operator delete(own, kCacheLine); }};
}

}  // namespace shelfcast::parallel
