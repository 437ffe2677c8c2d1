#include "models/product.h"

#include <torch/csrc/autograd/custom_function.h>

#include <vector>

#include "base/error.h"
#include "models/blocks.h"

namespace shelfcast::models {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

thread_local Precision current = Precision::fp32;
thread_local const Dropout* adapter_dropout = nullptr;

// Keeps the rounded factors for the backward, which halves what activations take.
class RoundedProduct : public torch::autograd::Function<RoundedProduct> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            ProductResult result) {
    const at::Tensor x_bf16 = x.to(at::kBFloat16), weight_bf16 = weight.to(at::kBFloat16);
    // A frozen weight's product need not remember what it multiplied.
    context->save_for_backward({weight.requires_grad() ? x_bf16 : at::Tensor(), weight_bf16});
    context->saved_data["x"] = x.scalar_type();
    const at::Tensor y = at::mm(x_bf16, weight_bf16.t());
    return result == ProductResult::as_rounded ? y : y.to(at::kFloat);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor dy = gradients[0].to(at::kBFloat16);
    at::Tensor dx, dweight;
    if (context->needs_input_grad(0)) dx = at::mm(dy, saved[1]).to(context->saved_data["x"].toScalarType());
    if (context->needs_input_grad(1)) dweight = at::mm(dy.t(), saved[0]).to(at::kFloat);
    return {dx, dweight, at::Tensor()};
  }
};

at::Tensor rounded_product(const at::Tensor& x, const at::Tensor& weight,
                           ProductResult result = ProductResult::float32) {
  return RoundedProduct::apply(x, weight, result);
}

// x weight^T + bias + (seen a^T) b^T: sums go into results that are there, and nothing [rows, out] is kept.
class AdaptedProduct : public torch::autograd::Function<AdaptedProduct> {
 public:
  // `seen`: x, or what dropout left of it.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& seen,
                            const at::Tensor& weight, const at::Tensor& a, const at::Tensor& b,
                            const std::optional<at::Tensor>& bias) {
    at::Tensor y = bias ? at::addmm(*bias, x, weight.t()) : at::mm(x, weight.t());
    const at::Tensor low = at::mm(seen, a.t());
    y.addmm_(low, b.t());
    context->save_for_backward({weight.requires_grad() ? x : at::Tensor(), seen, weight, a, b, low});
    context->saved_data["one input"] = x.is_same(seen);
    context->saved_data["bias"] = bias.has_value();
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &seen = saved[1], &weight = saved[2], &a = saved[3], &b = saved[4],
                     &low = saved[5], &dy = gradients[0];
    const at::Tensor dlow = at::mm(dy, b);
    at::Tensor dx, dseen, dweight, dbias;
    if (context->needs_input_grad(0)) {
      dx = at::mm(dy, weight);
      if (context->saved_data["one input"].toBool()) {
        dx.addmm_(dlow, a);
      } else {
        dseen = at::mm(dlow, a);
      }
    }
    if (context->needs_input_grad(2)) dweight = at::mm(dy.t(), x);
    if (context->saved_data["bias"].toBool() && context->needs_input_grad(5)) dbias = dy.sum(0);
    return {dx, dseen, dweight, at::mm(dlow.t(), seen), at::mm(dy.t(), low), dbias};
  }
};

// What dropout leaves of what the adapter of this name reads.
at::Tensor dropped(const at::Tensor& x, const std::string& name) {
  if (adapter_dropout == nullptr) return x;
  const SiteDropout site = adapter_dropout->site("adapter." + name);
  return site.active() ? dropout(x, site) : x;
}

at::Tensor adapted_product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                           const LowRank& adapter) {
  const at::Tensor seen = dropped(x, adapter.name), b = adapter.b * adapter.scale;
  if (current == Precision::fp32) {
    const auto given = bias.defined() ? std::optional(bias) : std::nullopt;
    return AdaptedProduct::apply(x, seen, weight, adapter.down(), b, given);
  }
  const at::Tensor y = rounded_product(x, weight) + rounded_product(rounded_product(seen, adapter.down()), b);
  return bias.defined() ? y + bias : y;
}

at::Tensor behind(const at::Tensor& y, const Bottleneck& adapter) {
  const at::Tensor seen = dropped(y, adapter.name);
  const at::Tensor inner = activate(product(seen, adapter.down, adapter.down_bias), adapter.activation);
  return y + product(inner, adapter.up, adapter.up_bias);
}

// The adapters of matrices below each other as one: ranks add up.
LowRank stacked(std::initializer_list<Weight> weights) {
  LowRank all;
  std::vector<at::Tensor> as, bs;
  for (const Weight& weight : weights) {
    const LowRank* own = weight.low_rank();
    bs.push_back(own == nullptr ? weight.values().new_zeros({weight.values().size(0), 0})
                                : own->b * own->scale);
    if (own == nullptr) continue;
    if (as.empty()) all.name = own->name;
    as.push_back(own->down());
  }
  all.a = at::cat(as, 0);
  all.b = at::block_diag(bs);
  return all;
}

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
Precision current_precision() { return current; }

AdapterDropoutScope::AdapterDropoutScope(const Dropout& dropout) : before_(adapter_dropout) {
  adapter_dropout = &dropout;
}
AdapterDropoutScope::~AdapterDropoutScope() { adapter_dropout = before_; }
const Dropout* current_adapter_dropout() { return adapter_dropout; }

at::Tensor Weight::effective() const {
  const LowRank* own = low_rank();
  return own == nullptr ? values_ : at::addmm(values_, own->b, own->down(), 1.0, own->scale);
}

at::Tensor widened(const at::Tensor& x) { return x.scalar_type() == at::kBFloat16 ? x.to(at::kFloat) : x; }

at::Tensor product(const at::Tensor& x, const Weight& weight, const at::Tensor& bias, ProductResult result) {
  if (const LowRank* adapter = weight.low_rank())
    return adapted_product(widened(x), weight.values(), bias, *adapter);
  if (const Bottleneck* adapter = weight.bottleneck())
    return behind(product(x, Weight(weight.values()), bias), *adapter);
  if (current == Precision::bf16) {
    if (!bias.defined()) return rounded_product(x, weight.values(), result);
    return rounded_product(x, weight.values()) + bias;
  }
  return bias.defined() ? at::addmm(bias, x, weight.values().t()) : at::mm(x, weight.values().t());
}

at::Tensor stacked_product(const at::Tensor& x, std::initializer_list<Weight> weights, ProductResult result) {
  std::vector<at::Tensor> values;
  bool adapted = false;
  for (const Weight& weight : weights) {
    values.push_back(weight.values());
    adapted |= weight.low_rank() != nullptr;
  }
  const at::Tensor all = at::cat(values, 0);
  return adapted ? adapted_product(x, all, {}, stacked(weights)) : product(x, all, {}, result);
}

at::Tensor add_prefix(const at::Tensor& mixed, const at::Tensor& queries, const Weight& query,
                      std::int64_t heads) {
  const Prefix* own = query.prefix();
  if (own == nullptr) return mixed;
  const std::int64_t rows = queries.size(0), length = own->key.size(0), width = queries.size(1) / heads;
  const at::Tensor q_nrk = widened(queries).view({rows, heads, width}).transpose(0, 1);
  const at::Tensor keys_nkm = own->key.view({length, heads, width}).permute({1, 2, 0});
  const at::Tensor values_nmk = own->value.view({length, heads, width}).transpose(0, 1);
  const at::Tensor p_rnm = at::softmax(at::bmm(q_nrk, keys_nkm), -1).transpose(0, 1);
  const at::Tensor kept = dropped(p_rnm.reshape({rows, heads * length}), own->name);
  const at::Tensor read_nrk = at::bmm(kept.view({rows, heads, length}).transpose(0, 1), values_nmk);
  return mixed + read_nrk.transpose(0, 1).reshape({rows, heads * width});
}

}  // namespace shelfcast::models
