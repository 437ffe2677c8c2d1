#include "models/weights.h"

#include <fmt/ranges.h>

#include <set>

#include "base/error.h"
#include "base/safetensors.h"

namespace shelfcast::models {

namespace {

std::vector<std::int64_t> shape_of(const at::Tensor& tensor) { return tensor.sizes().vec(); }

void check_surplus(const SafetensorsFile& file, const std::set<std::string>& known) {
  for (const auto& [name, tensor] : file.tensors()) {
    if (known.count(name) != 0) continue;
    throw data_error(
        fmt::format("{} holds a tensor \"{}\" that this model has no place for", file.path().string(), name),
        "the weights belong to another model or another version of it");
  }
}

void check_shape(const SafetensorsFile& file, const std::string& name, const StoredTensor& stored,
                 const at::Tensor& wanted) {
  if (stored.shape == shape_of(wanted)) return;
  throw data_error(fmt::format("tensor \"{}\" in {} has shape [{}]", name, file.path().string(),
                               fmt::join(stored.shape, ", ")),
                   fmt::format("the model needs [{}]", fmt::join(shape_of(wanted), ", ")),
                   "check that the configuration beside it belongs to these weights");
}

}  // namespace

void load_weights(const std::filesystem::path& path, const std::string& prefix,
                  const std::vector<Parameter>& parameters, const std::vector<std::string>& ignored) {
  const SafetensorsFile file(path);
  std::set<std::string> known(ignored.begin(), ignored.end());
  std::vector<std::pair<const StoredTensor*, at::Tensor>> copies;
  for (const Parameter& parameter : parameters) {
    if (!parameter.name.starts_with(prefix)) continue;
    const std::string name = parameter.name.substr(prefix.size());
    const StoredTensor& stored = file.at(name);
    check_shape(file, name, stored, parameter.tensor);
    known.insert(name);
    copies.emplace_back(&stored, parameter.tensor);
  }
  check_surplus(file, known);
  const at::NoGradGuard no_grad;
  for (auto& [stored, tensor] : copies) {
    std::vector<float> values = stored->to_float();
    tensor.copy_(at::from_blob(values.data(), tensor.sizes(), at::kFloat));
  }
}

void save_weights(const std::filesystem::path& path, const std::string& prefix,
                  const std::vector<Parameter>& parameters) {
  std::vector<at::Tensor> kept;  // keeps the bytes alive
  std::vector<TensorToStore> tensors;
  for (const Parameter& parameter : parameters) {
    if (!parameter.name.starts_with(prefix)) continue;
    const at::Tensor values = parameter.tensor.detach().to(at::kCPU, at::kFloat).contiguous();
    kept.push_back(values);
    const auto* bytes = static_cast<const std::byte*>(values.const_data_ptr());
    tensors.push_back({parameter.name.substr(prefix.size()),
                       DType::f32,
                       shape_of(values),
                       {bytes, static_cast<std::size_t>(values.numel()) * sizeof(float)}});
  }
  // transformers asks for this entry.
  write_safetensors(path, tensors, {{"format", "pt"}});
}

}  // namespace shelfcast::models
