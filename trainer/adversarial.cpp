#include "trainer/adversarial.h"

#include <torch/csrc/autograd/autograd.h>

#include "models/recompute.h"

namespace shelfcast::trainer {
namespace {

// Legend: b windows, l tokens of a window, d width of a token.

// [b, l, d] -> length of each window's numbers [b, 1, 1].
at::Tensor lengths(const at::Tensor& x_bld) { return x_bld.flatten(1).norm(2, 1).view({-1, 1, 1}); }

// Each window's x scaled to `length_b11`; what has no direction stays zero.
at::Tensor of_length(const at::Tensor& x_bld, const at::Tensor& length_b11) {
  const at::Tensor own_b11 = lengths(x_bld);
  return x_bld * at::where(own_b11 > 0, length_b11 / own_b11, at::zeros_like(own_b11));
}

// Each window's x cut to `length_b11` at most.
at::Tensor within(const at::Tensor& x_bld, const at::Tensor& length_b11) {
  return at::where(lengths(x_bld) > length_b11, of_length(x_bld, length_b11), x_bld);
}

// The gradient of the loss for a change of this size, parameters' left alone.
at::Tensor gradient_at(const at::Tensor& added_bld, const ChangedLoss& loss_of) {
  const models::InputsAloneScope inputs_alone;
  models::TokenChange change{added_bld.detach().requires_grad_(true), {}};
  const at::Tensor loss = loss_of(&change).loss;
  return torch::autograd::grad({loss}, {change.added_bld}).front();
}

}  // namespace

models::LossSums adversarial_backward(const AdversarialConfig& config, const ChangedLoss& loss_of,
                                      const BeforeBackward& before_backward) {
  using Method = AdversarialConfig::Method;
  if (config.method == Method::none) {
    const models::LossSums sums = loss_of(nullptr);
    if (before_backward) before_backward(0);
    sums.loss.backward();
    return sums;
  }
  models::TokenChange change;
  const models::LossSums sums = loss_of(&change);
  if (before_backward) before_backward(1);
  sums.loss.backward();
  const at::Tensor length_b11 = change.length_b.view({-1, 1, 1}), most_b11 = length_b11 * config.epsilon;
  at::Tensor gradient = change.added_bld.grad();
  at::Tensor added = of_length(gradient, most_b11);
  if (config.method == Method::pgd) {
    const at::Tensor step_b11 = length_b11 * config.step_size;
    added = within(of_length(gradient, step_b11), most_b11);
    for (std::int64_t step = 1; step < config.steps; ++step) {
      gradient = gradient_at(added, loss_of);
      added = within(added + of_length(gradient, step_b11), most_b11);
    }
  }
  change.added_bld = added;
  const models::LossSums worse = loss_of(&change);
  if (before_backward) before_backward(0);
  (worse.loss * config.weight).backward();
  return sums;
}

}  // namespace shelfcast::trainer
