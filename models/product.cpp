#include "models/product.h"

#include <torch/csrc/autograd/custom_function.h>

#include "base/error.h"

namespace shelfcast::models {
namespace {

thread_local Precision current = Precision::fp32;

// Keeps the rounded factors for the backward, which halves what activations take.
class RoundedProduct : public torch::autograd::Function<RoundedProduct> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& weight) {
    const at::Tensor x_bf16 = x.to(at::kBFloat16), weight_bf16 = weight.to(at::kBFloat16);
    context->save_for_backward({x_bf16, weight_bf16});
    return at::mm(x_bf16, weight_bf16.t()).to(at::kFloat);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor dy = gradients[0].to(at::kBFloat16);
    at::Tensor dx, dweight;
    if (context->needs_input_grad(0)) dx = at::mm(dy, saved[1]).to(at::kFloat);
    if (context->needs_input_grad(1)) dweight = at::mm(dy.t(), saved[0]).to(at::kFloat);
    return {dx, dweight};
  }
};

}  // namespace

Precision precision_from(const std::string& name) {
  if (name == "fp32") return Precision::fp32;
  if (name == "bf16") return Precision::bf16;
  throw input_error(fmt::format("unknown precision \"{}\"", name), "", "use fp32 or bf16");
}

bool cpu_has_bf16() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512bf16") != 0;
}

PrecisionScope::PrecisionScope(Precision precision) : before_(current) { current = precision; }
PrecisionScope::~PrecisionScope() { current = before_; }

at::Tensor product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (current == Precision::bf16) {
    const at::Tensor rounded = RoundedProduct::apply(x, weight);
    return bias.defined() ? rounded + bias : rounded;
  }
  return bias.defined() ? at::addmm(bias, x, weight.t()) : at::mm(x, weight.t());
}

}  // namespace shelfcast::models
