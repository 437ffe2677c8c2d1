// Reading golden files: tensors, digests, how far apart results are, and the reference's optimizer.
#pragma once

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/safetensors.h"
#include "models/blocks.h"

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

// The largest difference of digests (dot products, with or without the norm) over the tensor's largest value.
// One element that is wrong by x times that value moves it by at least 0.47 x: so much has one of the two
// vectors at any place. Tensors whose largest value is below `floor` are zero but for rounding.
inline double digest_error(const at::Tensor& tensor, const at::Tensor& expected, double floor = 1e-7) {
  const at::Tensor difference = digest(tensor).narrow(0, 0, expected.numel()) - expected.to(at::kDouble);
  const double largest = tensor.detach().abs().max().item<double>();
  return difference.abs().max().item<double>() / std::max(largest, floor);
}

// Fails where `error` reaches `bound`; the largest error of each quantity is printed at the program's end
// when the golden files are not those of the sources.
void expect_below(const std::string& quantity, double error, double bound, const std::string& where = "");

// The largest error over the largest reference value.
inline double error_of(const at::Tensor& got, const at::Tensor& expected) {
  EXPECT_EQ(got.sizes(), expected.sizes());
  return ((got - expected).abs().max() / expected.abs().max()).item<double>();
}

inline at::Tensor gradient_of(const Parameter& parameter) {
  const at::Tensor& gradient = parameter.tensor.grad();
  return gradient.defined() ? gradient : at::zeros_like(parameter.tensor);
}

// AdamW as published (Loshchilov and Hutter, 2019), with the rate 1e-3 and the decay 0.01 of all golden
// cases.
class PlainAdamW {
 public:
  explicit PlainAdamW(std::vector<Parameter> parameters, double epsilon = 1e-8)
      : parameters_(std::move(parameters)), moments_(parameters_.size()), epsilon_(epsilon) {}

  // Leaves parameters that no gradient reached as they are; clears the gradients.
  void step() {
    const at::NoGradGuard no_grad;
    ++steps_;
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      at::Tensor w = parameters_[i].tensor;
      if (!w.grad().defined()) continue;
      auto& [m, v] = moments_[i];
      if (!m.defined()) {
        m = at::zeros_like(w);
        v = at::zeros_like(w);
      }
      w.mul_(1.0 - 1e-3 * 0.01);
      m.mul_(0.9).add_(w.grad(), 0.1);
      v.mul_(0.999).addcmul_(w.grad(), w.grad(), 0.001);
      const at::Tensor size = v.sqrt().div_(std::sqrt(1.0 - std::pow(0.999, steps_))).add_(epsilon_);
      w.addcdiv_(m, size, -1e-3 / (1.0 - std::pow(0.9, steps_)));
      w.mutable_grad() = at::Tensor();
    }
  }

 private:
  std::vector<Parameter> parameters_;
  std::vector<std::pair<at::Tensor, at::Tensor>> moments_;
  double epsilon_;
  int steps_ = 0;
};

}  // namespace shelfcast::models::testing
