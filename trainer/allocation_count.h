// How much memory tensors take while something runs.
#pragma once

#include <cstdint>
#include <functional>

namespace shelfcast::trainer {

// The most bytes of CPU tensors alive at once during `work` beyond those alive before it. One caller at a
// time, while no other thread makes tensors.
std::int64_t peak_tensor_bytes(const std::function<void()>& work);

}  // namespace shelfcast::trainer
