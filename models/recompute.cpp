#include "models/recompute.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>

#include "models/product.h"
#include "models/standing_transfers.h"

namespace shelfcast::models {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

thread_local bool recompute = false;
thread_local bool inputs_alone = false;

// A block and the thread's state when it was called.
struct Call : torch::CustomClassHolder {
  RecomputedBlock block;
  Precision precision = Precision::fp32;
  std::optional<Dropout> adapter_dropout;
  bool inputs_alone = false;
  StandingTransfers* standing = nullptr;
};

at::Tensor leaf_of(const at::Tensor& x) {
  return x.defined() ? x.detach().requires_grad_(x.requires_grad()) : x;
}

variable_list gradients_of_inputs(const at::Tensor& result, const at::Tensor& gradient, const at::Tensor& x,
                                  const at::Tensor& beside) {
  variable_list inputs, found(4);
  for (const at::Tensor& input : {x, beside})
    if (input.defined() && input.requires_grad()) inputs.push_back(input);
  if (inputs.empty()) return found;
  const variable_list own = torch::autograd::grad({result}, inputs, {gradient}, /*retain_graph=*/std::nullopt,
                                                  /*create_graph=*/false, /*allow_unused=*/true);
  std::size_t next = 0;
  if (x.requires_grad()) found[0] = own[next++];
  if (beside.defined() && beside.requires_grad()) found[1] = own[next];
  return found;
}

struct Recomputed : torch::autograd::Function<Recomputed> {
  // `anchor` makes the result require a gradient where the block's parameters alone do.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const std::optional<at::Tensor>& beside, const at::Tensor& /*anchor*/,
                            const c10::intrusive_ptr<Call>& call) {
    context->save_for_backward({x, beside.value_or(at::Tensor())});
    context->saved_data["call"] = c10::IValue::make_capsule(call);
    return call->block(x, beside.value_or(at::Tensor()));
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const auto& call = static_cast<const Call&>(*context->saved_data.at("call").toCapsule());
    const at::AutoGradMode with_gradients(true);
    const PrecisionScope precision(call.precision);
    const StandingTransfers::Scope standing(call.standing);
    std::optional<AdapterDropoutScope> adapters;
    if (call.adapter_dropout) adapters.emplace(*call.adapter_dropout);
    const at::Tensor x = leaf_of(saved[0]), beside = leaf_of(saved[1]);
    const at::Tensor result = call.block(x, beside);
    if (call.inputs_alone) return gradients_of_inputs(result, gradients[0], x, beside);
    torch::autograd::backward({result}, {gradients[0]});
    return {x.grad(), beside.defined() ? beside.grad() : beside, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

RecomputeScope::RecomputeScope(bool on) : before_(recompute) { recompute = on; }
RecomputeScope::~RecomputeScope() { recompute = before_; }

InputsAloneScope::InputsAloneScope() : before_(inputs_alone) { inputs_alone = true; }
InputsAloneScope::~InputsAloneScope() { inputs_alone = before_; }

at::Tensor recomputed(const at::Tensor& x, const at::Tensor& beside, RecomputedBlock block) {
  if (!recompute || !at::GradMode::is_enabled()) return block(x, beside);
  auto call = c10::make_intrusive<Call>();
  call->block = std::move(block);
  call->precision = current_precision();
  call->inputs_alone = inputs_alone;
  call->standing = StandingTransfers::of_this_thread();
  if (const Dropout* dropout = current_adapter_dropout()) call->adapter_dropout = *dropout;
  const at::Tensor anchor = at::zeros({}, x.options()).requires_grad_(true);
  return Recomputed::apply(x, beside.defined() ? std::optional(beside) : std::nullopt, anchor,
                           std::move(call));
}

}  // namespace shelfcast::models
