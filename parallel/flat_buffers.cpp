#include "parallel/flat_buffers.h"

#include <cmath>
#include <set>

#include "base/error.h"
#include "parallel/sum_of_squares.h"

namespace shelfcast::parallel {

namespace {

constexpr std::int64_t kAlignment = 64 / sizeof(float);  // elements of one cache line

std::int64_t round_up(std::int64_t count, std::int64_t to) { return (count + to - 1) / to * to; }

const std::vector<FlatParameter>& checked(const std::vector<FlatParameter>& parameters) {
  std::set<const void*> seen;
  for (const FlatParameter& parameter : parameters) {
    const at::Tensor& tensor = parameter.tensor;
    const bool fits =
        tensor.defined() && tensor.scalar_type() == at::kFloat && tensor.is_leaf() && tensor.requires_grad();
    if (!fits || !seen.insert(tensor.unsafeGetTensorImpl()).second) {
      throw Error(ErrorKind::internal,
                  fmt::format("parameter \"{}\" cannot go into flat buffers", parameter.name),
                  fits ? "it is given twice" : "it is not a float32 leaf that requires a gradient");
    }
  }
  return parameters;
}

}  // namespace

std::vector<FlatRange> flat_layout(const std::vector<FlatParameter>& parameters) {
  std::vector<FlatRange> ranges;
  std::int64_t offset = 0;
  for (auto parameter = parameters.rbegin(); parameter != parameters.rend(); ++parameter) {
    const std::int64_t elements = parameter->tensor.numel();
    ranges.push_back({parameter->name, parameter->tensor.sizes().vec(), offset, elements, parameter->lr_scale,
                      parameter->decay});
    offset += round_up(elements, kAlignment);
  }
  return ranges;
}

FlatBuffers::FlatBuffers(const std::vector<FlatParameter>& parameters, int parts)
    : ranges_(flat_layout(checked(parameters))) {
  for (auto parameter = parameters.rbegin(); parameter != parameters.rend(); ++parameter)
    tensors_.push_back(parameter->tensor);
  const std::int64_t used = ranges_.empty() ? 0 : ranges_.back().offset + ranges_.back().elements;
  const std::int64_t elements = round_up(used, kAlignment * parts);
  const auto options =
      tensors_.empty() ? at::TensorOptions(at::kFloat) : tensors_.front().options().requires_grad(false);
  values_ = at::zeros({elements}, options);
  gradients_ = at::zeros({elements}, options);
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
  if (!gradients_.device().is_cpu())
    return at::linalg_vector_norm(gradients_, 2, std::nullopt, false, at::kDouble).item<double>();
  return std::sqrt(sum_of_squares(gradients_.const_data_ptr<float>(), gradients_.numel()));
}

}  // namespace shelfcast::parallel
