// Reading golden files: tensors, digests and how far apart results are.
#pragma once

#include <torch/types.h>

#include <string>

#include "base/safetensors.h"

namespace shelfcast::models::testing {

inline at::Tensor stored(const SafetensorsFile& file, const std::string& name) {
  const StoredTensor& tensor = file.at(name);
  if (tensor.dtype == DType::i32)
    return at::from_blob(const_cast<std::byte*>(tensor.bytes.data()), tensor.shape, at::kInt).clone();
  std::vector<float> values = tensor.to_float();
  return at::from_blob(values.data(), tensor.shape, at::kFloat).clone();
}

// Dot products with two fixed vectors, then the norm: what the generators keep of large tensors.
inline at::Tensor digest(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.detach().to(at::kDouble).flatten();
  const at::Tensor index = at::arange(flat.numel(), at::kDouble);
  const auto along = [&](double phase) { return flat.dot(at::cos(index * 0.37 + phase) + 0.1); };
  return at::stack({along(0.0), along(1.0), flat.norm()});
}

// The largest difference over the largest value, row by row.
inline double row_error(const at::Tensor& got, const at::Tensor& expected) {
  const auto largest = [](const at::Tensor& x) { return x.to(at::kDouble).abs().flatten(1).amax(1); };
  return (largest(got - expected) / largest(expected)).max().item<double>();
}

// The largest difference of digests; a dot product's error is up to the vector's length times the tensor's.
inline double digest_error(const at::Tensor& got, const at::Tensor& expected, std::int64_t elements) {
  const double size = expected[2].item<double>() + 1e-7, reach = std::sqrt(static_cast<double>(elements));
  const at::Tensor unit = at::tensor({size * reach, size * reach, size}, at::kDouble);
  return ((got - expected.to(at::kDouble)) / unit).abs().max().item<double>();
}

}  // namespace shelfcast::models::testing
