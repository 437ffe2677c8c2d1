#include "parallel/flat_buffers.h"

#include <cmath>
#include <set>

#include "base/error.h"
#include "parallel/sum_of_squares.h"

namespace shelfcast::parallel {

namespace {

constexpr std::int64_t kAlignment = 64 / sizeof(float);  // elements of one cache line

void check(const FlatParameter& parameter, std::set<const void*>& seen) {
  const at::Tensor& tensor = parameter.tensor;
  const bool fits =
      tensor.defined() && tensor.scalar_type() == at::kFloat && tensor.is_leaf() && tensor.requires_grad();
  if (!fits || !seen.insert(tensor.unsafeGetTensorImpl()).second) {
    throw Error(ErrorKind::internal,
                fmt::format("parameter \"{}\" cannot go into flat buffers", parameter.name),
                fits ? "it is given twice" : "it is not a float32 leaf that requires a gradient");
  }
}

}  // namespace

FlatBuffers::FlatBuffers(const std::vector<FlatParameter>& parameters) {
  std::set<const void*> seen;
  std::int64_t offset = 0;
  for (auto parameter = parameters.rbegin(); parameter != parameters.rend(); ++parameter) {
    check(*parameter, seen);
    const std::int64_t elements = parameter->tensor.numel();
    ranges_.push_back({parameter->name, parameter->tensor.sizes().vec(), offset, elements,
                       parameter->lr_scale, parameter->decay});
    tensors_.push_back(parameter->tensor);
    offset += (elements + kAlignment - 1) / kAlignment * kAlignment;
  }
  const auto options =
      tensors_.empty() ? at::TensorOptions(at::kFloat) : tensors_.front().options().requires_grad(false);
  values_ = at::zeros({offset}, options);
  gradients_ = at::zeros({offset}, options);
  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < ranges_.size(); ++i) {
    const FlatRange& range = ranges_[i];
    const at::Tensor view = values_.narrow(0, range.offset, range.elements).view(range.shape);
    view.copy_(tensors_[i]);
    tensors_[i].set_data(view);
    tensors_[i].mutable_grad() = gradients_.narrow(0, range.offset, range.elements).view(range.shape);
  }
}

void FlatBuffers::zero_gradients() { gradients_.zero_(); }

double FlatBuffers::gradient_norm() const {
  const at::Tensor host = gradients_.to(at::kCPU);
  return std::sqrt(sum_of_squares(host.const_data_ptr<float>(), host.numel()));
}

}  // namespace shelfcast::parallel
