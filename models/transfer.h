// What the host makes and a device needs.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace shelfcast::models {

// `tensor` on `device`; as it is where it lies there. From host memory to a GPU nobody waits: it is copied to
// page-locked memory first, out of which the copy goes on by itself, so that the caller may change or free
// `tensor` at once.
at::Tensor sent(const at::Tensor& tensor, const at::Device& device);
// Such a copy, made in any case.
at::Tensor copied(const at::Tensor& tensor, const at::Device& device);

// The same of numbers, [n], in the type and on the device of `options`; and of int64.
at::Tensor sent(c10::ArrayRef<double> numbers, const at::TensorOptions& options);
at::Tensor sent(c10::ArrayRef<std::int64_t> numbers, const at::Device& device);

// The bits of unsigned numbers as those that LibTorch has: no copy.
inline c10::ArrayRef<std::int64_t> as_numbers(const std::vector<std::uint64_t>& bits) {
  return {reinterpret_cast<const std::int64_t*>(bits.data()), bits.size()};
}

}  // namespace shelfcast::models
