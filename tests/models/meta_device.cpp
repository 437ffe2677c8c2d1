#include "tests/models/meta_device.h"

#include <gtest/gtest.h>
#include <torch/library.h>

namespace shelfcast::models {

// The operators it has for Python only are added here, by others that mean the same.
TORCH_LIBRARY_IMPL(aten, Meta, library) {
  library.impl("isnan", [](const at::Tensor& x) { return x.ne(x); });
  library.impl("where.self", [](const at::Tensor& condition, const at::Tensor& a, const at::Tensor& b) {
    return condition.to(a.scalar_type()) * a + b;
  });
  library.impl("index_select", [](const at::Tensor& x, std::int64_t dimension, const at::Tensor& index) {
    std::vector<std::int64_t> shape = x.sizes().vec();
    shape.at(static_cast<std::size_t>(dimension)) = index.numel();
    EXPECT_TRUE(index.is_meta()) << "an index in host memory";
    return at::empty(shape, x.options());
  });
  library.impl("relu", [](const at::Tensor& x) { return x.clamp_min(0.0); });
  library.impl("relu_", [](at::Tensor& x) -> at::Tensor& { return x.clamp_min_(0.0); });
  library.impl("unfold_backward",
               [](const at::Tensor& gradient, at::IntArrayRef shape, std::int64_t, std::int64_t,
                  std::int64_t) { return at::empty(shape, gradient.options()); });
  library.impl("embedding_dense_backward",
               [](const at::Tensor& gradient, const at::Tensor& index, c10::SymInt rows, c10::SymInt, bool) {
                 EXPECT_TRUE(index.is_meta()) << "an index in host memory";
                 return at::empty({rows.expect_int(), gradient.size(-1)}, gradient.options());
               });
  library.impl("native_layer_norm",
               [](const at::Tensor& x, c10::SymIntArrayRef, const std::optional<at::Tensor>&,
                  const std::optional<at::Tensor>&, double) {
                 const at::Tensor rows = at::empty({x.size(0), 1}, x.options());
                 return std::make_tuple(at::empty_like(x), rows, rows.clone());
               });
  library.impl(
      "native_layer_norm_backward",
      [](const at::Tensor&, const at::Tensor& x, c10::SymIntArrayRef, const at::Tensor&, const at::Tensor&,
         const std::optional<at::Tensor>& gain, const std::optional<at::Tensor>& bias, std::array<bool, 3>) {
        return std::make_tuple(at::empty_like(x), at::empty_like(*gain), at::empty_like(*bias));
      });
  library.impl("flip", [](const at::Tensor& x, at::IntArrayRef) { return at::empty_like(x); });
  library.impl("log_sigmoid_forward", [](const at::Tensor& x) {
    return std::make_tuple(at::empty_like(x), at::empty({0}, x.options()));
  });
  library.impl("log_sigmoid_backward", [](const at::Tensor& gradient, const at::Tensor&, const at::Tensor&) {
    return at::empty_like(gradient);
  });
  library.impl("logical_not.out", [](const at::Tensor& x, at::Tensor& out) -> at::Tensor& {
    out.resize_(x.sizes());
    return out;
  });
  library.impl("copy_", [](at::Tensor& to, const at::Tensor& from, bool non_blocking) -> at::Tensor& {
    EXPECT_TRUE(from.is_meta() || non_blocking) << "the host waits for a copy of " << from.sizes();
    return to.is_cpu() ? to.zero_() : to;
  });
}

void put_on_meta(const std::vector<Parameter>& parameters) {
  for (const Parameter& parameter : parameters) {
    const at::Tensor there = at::empty_like(parameter.tensor, at::TensorOptions().device(at::kMeta));
    at::TensorImpl* impl = parameter.tensor.unsafeGetTensorImpl();
    impl->_change_backend_component_keys(at::kMeta);
    impl->set_storage_keep_dtype(there.storage());
  }
}

}  // namespace shelfcast::models
