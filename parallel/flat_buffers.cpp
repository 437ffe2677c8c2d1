#include "parallel/flat_buffers.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "base/error.h"
#include "parallel/sum_of_squares.h"
#include "parallel/summed_tensor.h"

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

FlatBuffers::FlatBuffers(const std::vector<FlatParameter>& parameters, int parts, std::optional<Part> held,
                         Communicator* summed_by)
    : ranges_(flat_layout(checked(parameters))), parts_(parts) {
  for (auto parameter = parameters.rbegin(); parameter != parameters.rend(); ++parameter)
    tensors_.push_back(parameter->tensor);
  const std::int64_t used = ranges_.empty() ? 0 : ranges_.back().offset + ranges_.back().elements;
  const std::int64_t elements = round_up(used, kAlignment * parts);
  SHELFCAST_ASSERT(!held || parts % held->of == 0);
  held_ = held ? slice_of(elements, *held) : Slice{0, elements};
  const auto options =
      tensors_.empty() ? at::TensorOptions(at::kFloat) : tensors_.front().options().requires_grad(false);
  values_ = at::zeros({elements}, options);
  gradients_ = summed_tensor(held_.size(), options, holds_whole_gradients() ? summed_by : nullptr,
                             "memory of gradients");
  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < ranges_.size(); ++i) {
    const FlatRange& range = ranges_[i];
    const at::Tensor view = values_.narrow(0, range.offset, range.elements).view(range.shape);
    view.copy_(tensors_[i]);
    tensors_[i].set_data(view);
    tensors_[i].mutable_grad() = holds_whole_gradients()
                                     ? gradients_.narrow(0, range.offset, range.elements).view(range.shape)
                                     : at::Tensor();
  }
}

void FlatBuffers::zero_gradients() {
  gradients_.zero_();
  if (holds_whole_gradients()) return;
  for (const at::Tensor& tensor : tensors_) tensor.mutable_grad() = at::Tensor();
}

at::Tensor FlatBuffers::own_gradients() const {
  if (holds_whole_gradients()) return gradients_;
  at::Tensor own = at::zeros_like(values_);
  for (std::size_t i = 0; i < ranges_.size(); ++i)
    if (const at::Tensor& gradient = tensors_[i].grad(); gradient.defined())
      own.narrow(0, ranges_[i].offset, ranges_[i].elements).view(ranges_[i].shape).copy_(gradient);
  return own;
}

std::vector<double> FlatBuffers::gradient_squares() const {
  std::vector<double> squares(static_cast<std::size_t>(parts_), 0.0);
  const std::int64_t part = elements() / parts_, first = held_.begin / std::max<std::int64_t>(1, part);
  if (part == 0) return squares;
  const std::int64_t count = held_.size() / part;
  if (!gradients_.device().is_cpu()) {
    const at::Tensor own = squares_on_device(gradients_.view({count, part})).to(at::kCPU);
    for (std::int64_t i = 0; i < count; ++i)
      squares[static_cast<std::size_t>(first + i)] = own[i].item<double>();
    return squares;
  }
  const float* const gradients = gradients_.const_data_ptr<float>();
  for (std::int64_t i = 0; i < count; ++i)
    squares[static_cast<std::size_t>(first + i)] = sum_of_squares(gradients + i * part, part);
  return squares;
}

// Piece by piece: what is to be summed in double is copied to it first.
at::Tensor squares_on_device(const at::Tensor& rows) {
  constexpr std::int64_t kPiece = std::int64_t{1} << 22;  // elements
  at::Tensor squares = at::zeros({rows.size(0)}, rows.options().dtype(at::kDouble));
  const std::int64_t columns = std::max<std::int64_t>(1, kPiece / rows.size(0));
  for (std::int64_t first = 0; first < rows.size(1); first += columns)
    squares += rows.narrow(1, first, std::min(columns, rows.size(1) - first)).to(at::kDouble).square().sum(1);
  return squares;
}

double FlatBuffers::gradient_norm() const { return norm_of(gradient_squares()); }

double norm_of(const std::vector<double>& squares) {
  return std::sqrt(std::accumulate(squares.begin(), squares.end(), 0.0));
}

}  // namespace shelfcast::parallel
