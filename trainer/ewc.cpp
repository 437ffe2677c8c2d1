#include "trainer/ewc.h"

#include "base/activity.h"
#include "base/error.h"
#include "base/safetensors.h"

namespace shelfcast::trainer {
namespace {

float* numbers(const at::Tensor& flat) { return flat.mutable_data_ptr<float>(); }

// The name of a part of a parameter in the file, and where it stands in the flat tensor, in host memory.
template <typename Visit>
void for_each_part(const parallel::FlatBuffers& buffers, const at::Tensor& fisher, const at::Tensor& start,
                   Visit&& visit) {
  for (const auto& [kind, flat] : {std::pair("fisher.", &fisher), std::pair("start.", &start)})
    for (const parallel::FlatRange& range : buffers.ranges())
      visit(kind + range.name, range, numbers(*flat) + range.offset);
}

}  // namespace

ElasticAnchor::ElasticAnchor(Task& task, parallel::FlatBuffers& buffers, parallel::Communicator& communicator)
    : start_(buffers.values().clone()) {
  at::Tensor squares = at::zeros({buffers.elements() + 1}, at::kDouble);  // the last one counts samples
  buffers.zero_gradients();
  for (std::int64_t sample = communicator.rank(); sample < task.anchor_samples();
       sample += communicator.size()) {
    const WeightedLoss loss = task.anchor_gradient(sample);
    activity::note_progress();
    if (const double weight = loss.weight_now(); weight > 0) {
      const at::Tensor gradient = buffers.own_gradients().to(at::kCPU, at::kDouble).div_(weight);
      squares.narrow(0, 0, buffers.elements()).addcmul_(gradient, gradient);
      squares[-1] += 1;
    }
    buffers.zero_gradients();
  }
  communicator.all_reduce(
      std::span<double>(squares.mutable_data_ptr<double>(), static_cast<std::size_t>(squares.numel())),
      parallel::ReduceOp::sum, "Fisher information");
  const double samples = squares[-1].item<double>();
  fisher_ = squares.narrow(0, 0, buffers.elements())
                .div(std::max(1.0, samples))
                .to(buffers.values().device(), at::kFloat);
}

ElasticAnchor::ElasticAnchor(const std::filesystem::path& file, const parallel::FlatBuffers& buffers)
    : fisher_(at::zeros({buffers.elements()}, at::kFloat)),
      start_(at::zeros({buffers.elements()}, at::kFloat)) {
  const SafetensorsFile stored(file);
  for_each_part(buffers, fisher_, start_, [&](const std::string& name, const auto& range, float* to) {
    const StoredTensor& tensor = stored.at(name);
    if (tensor.shape != range.shape)
      throw data_error(fmt::format("{}: {} has another shape than the model's", file.string(), name), "",
                       "start the run again in another folder");
    tensor.to_float(0, tensor.elements(), to);
  });
  fisher_ = fisher_.to(buffers.values().device());
  start_ = start_.to(buffers.values().device());
}

void ElasticAnchor::save(const std::filesystem::path& file, const parallel::FlatBuffers& buffers) const {
  std::vector<TensorToStore> tensors;
  const at::Tensor fisher = fisher_.to(at::kCPU), start = start_.to(at::kCPU);
  for_each_part(buffers, fisher, start, [&](const std::string& name, const auto& range, const float* from) {
    std::int64_t elements = 1;
    for (const std::int64_t size : range.shape) elements *= size;
    tensors.push_back(
        {name, DType::f32, range.shape, std::as_bytes(std::span(from, static_cast<std::size_t>(elements)))});
  });
  write_safetensors(file, tensors);
}

void ElasticAnchor::pull(parallel::FlatBuffers& buffers, double scale) const {
  const at::NoGradGuard no_grad;
  const auto held = [&](const at::Tensor& flat) {
    return flat.narrow(0, buffers.held().begin, buffers.held().size());
  };
  buffers.gradients().addcmul_(held(fisher_), held(buffers.values()) - held(start_), scale);
}

double ElasticAnchor::penalty(const parallel::FlatBuffers& buffers) const {
  const at::NoGradGuard no_grad;
  return 0.5 * (fisher_ * (buffers.values() - start_).square()).sum(at::kDouble).item<double>();
}

}  // namespace shelfcast::trainer
