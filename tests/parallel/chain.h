// A small network whose gradients come one after the other, for tests of how they are sent.
#pragma once

#include <fmt/format.h>
#include <torch/csrc/autograd/custom_function.h>

#include <functional>
#include <vector>

#include "parallel/flat_buffers.h"

namespace shelfcast::parallel {

// x as it is; does `call` when the gradient comes by.
struct OnBackward : torch::autograd::Function<OnBackward> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const std::function<void()>* call) {
    context->saved_data["call"] = reinterpret_cast<std::int64_t>(call);
    return x.clone();
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    (*reinterpret_cast<const std::function<void()>*>(context->saved_data["call"].toInt()))();
    return {gradients[0], {}};
  }
};

// Layers of one parameter each, a frozen one among them; those of index `skipped` are left out. Values depend
// on rank and micro-batch alone, and sums of squares of any size make the order of additions show.
struct Chain {
  Chain(int layers, int of_rank, int micro_batch = 0) : rank(of_rank), input(input_of(of_rank, micro_batch)) {
    for (int i = 0; i < layers; ++i)
      parameters.push_back(
          {fmt::format("layer {}", i),
           at::linspace(0.1 * (i + 1), 1.7, 64, at::kFloat).clone().set_requires_grad(true)});
    frozen = at::linspace(0.5, 1.5, 64, at::kFloat);
  }
  at::Tensor loss(int skipped = -1, const std::function<void()>* before_each = nullptr) const {
    at::Tensor y = input * frozen;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      if (static_cast<int>(i) == skipped) continue;
      y = y * at::cos(parameters[i].tensor * y);
      if (before_each != nullptr) y = OnBackward::apply(y, before_each);
    }
    return y.square().sum();
  }
  // The same layers on another micro-batch.
  static Chain on(const Chain& chain, int micro_batch) {
    Chain other = chain;
    other.input = input_of(chain.rank, micro_batch);
    return other;
  }
  static at::Tensor input_of(int rank, int micro_batch) {
    return at::full({64}, 1.0 + 0.37 * rank + 0.11 * micro_batch);
  }

  int rank;
  at::Tensor input, frozen;
  std::vector<FlatParameter> parameters;
};

}  // namespace shelfcast::parallel
