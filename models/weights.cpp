#include "models/weights.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <map>
#include <set>

#include "base/error.h"
#include "base/safetensors.h"
#include "models/threads.h"

namespace shelfcast::models {

namespace {

std::vector<std::int64_t> shape_of(const at::Tensor& tensor) { return tensor.sizes().vec(); }

// A tensor of the file under its name there.
struct Entry {
  std::string name;
  const StoredTensor* tensor;
};
using Entries = std::map<std::string, Entry>;  // by canonical name

Entries entries_of(const StoredWeights& file, const TensorNames& names) {
  Entries entries;
  for (const auto& [name, tensor] : file.tensors()) {
    const auto [there, added] = entries.try_emplace(names.canonical(name), Entry{name, &tensor});
    if (!added)
      throw data_error(
          fmt::format("{} holds \"{}\" and \"{}\"", file.path().string(), there->second.name, name),
          "they are two names of one tensor", "remove one of them");
  }
  return entries;
}

const Entry& find(const Entries& entries, const std::string& name, const StoredWeights& file) {
  if (const auto found = entries.find(name); found != entries.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [there, entry] : entries) names.push_back(there);
  const std::string near = nearest_name(name, names);
  throw data_error(fmt::format("{} has no tensor \"{}\"", file.path().string(), name),
                   near.empty() ? std::string() : fmt::format("nearest is \"{}\"", near),
                   "check that the configuration beside it belongs to these weights");
}

void check_surplus(const StoredWeights& file, const Entries& entries, const std::set<std::string>& used,
                   const TensorNames& names) {
  for (const auto& [name, entry] : entries) {
    if (used.count(name) != 0 || names.may_be_left_over(name)) continue;
    throw data_error(fmt::format("{} holds a tensor \"{}\" that this model has no place for",
                                 file.path().string(), entry.name),
                     "the weights belong to another model or another version of it");
  }
}

void check_shape(const StoredWeights& file, const std::string& name, const StoredTensor& stored,
                 const at::Tensor& wanted) {
  if (stored.shape == shape_of(wanted)) return;
  throw data_error(fmt::format("tensor \"{}\" in {} has shape [{}]", name, file.path().string(),
                               fmt::join(stored.shape, ", ")),
                   fmt::format("the model needs [{}]", fmt::join(shape_of(wanted), ", ")),
                   "check that the configuration beside it belongs to these weights");
}

void check_dtype(const StoredWeights& file, const std::string& name, const StoredTensor& stored) {
  if (is_floating(stored.dtype)) return;
  throw data_error(
      fmt::format("tensor \"{}\" in {} is of type {}", name, file.path().string(), to_string(stored.dtype)),
      "weights are floating-point numbers", "fetch the weights again");
}

struct Copy {
  std::string name;
  const StoredTensor* stored;
  at::Tensor tensor;
};

constexpr std::int64_t kGrain = 1 << 15;  // elements a thread should take at least; they fit into its cache

// An exponent of all ones (infinity, NaN) carries into the sign's place: one pass that any CPU can vectorise.
bool all_finite(const float* values, std::int64_t count) {
  constexpr std::uint32_t kExponent = 0x7F800000U, kLowestOfIt = 0x00800000U, kCarried = 0x80000000U;
  std::uint32_t carried = 0;
  for (std::int64_t i = 0; i < count; ++i)
    carried |= (std::bit_cast<std::uint32_t>(values[i]) & kExponent) + kLowestOfIt;
  return (carried & kCarried) == 0;
}

// In pieces that stay in the cache between the copy and the look at them.
void copy_values(const StoredWeights& file, const Copy& copy) {
  const at::Tensor target =
      copy.tensor.device().is_cpu() ? copy.tensor : at::empty(copy.tensor.sizes(), at::kFloat);
  SHELFCAST_ASSERT(target.is_contiguous() && target.scalar_type() == at::kFloat);
  float* out = target.mutable_data_ptr<float>();
  std::atomic<bool> finite = true;
  parallel_for(target.numel(), kGrain, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t begin = first; begin < last; begin += kGrain) {
      const std::int64_t end = std::min(last, begin + kGrain);
      copy.stored->to_float(begin, end, out + begin);
      if (!all_finite(out + begin, end - begin)) finite = false;
    }
  });
  if (!finite) {
    throw data_error(
        fmt::format("tensor \"{}\" in {} holds values that are not finite", copy.name, file.path().string()),
        "NaN or infinity", "fetch the weights again, or go back to an earlier checkpoint");
  }
  if (!copy.tensor.is_same(target)) copy.tensor.copy_(target);
  file.release(*copy.stored);
}

}  // namespace

void load_weights(const std::filesystem::path& path, const std::string& prefix,
                  const std::vector<Parameter>& parameters, const TensorNames& names) {
  const StoredWeights file(path);
  const Entries entries = entries_of(file, names);
  std::set<std::string> used;
  std::vector<Copy> copies;
  for (const Parameter& parameter : parameters) {
    if (!parameter.name.starts_with(prefix)) continue;
    const std::string name = parameter.name.substr(prefix.size());
    const Entry& entry = find(entries, name, file);
    check_shape(file, entry.name, *entry.tensor, parameter.tensor);
    check_dtype(file, entry.name, *entry.tensor);
    used.insert(name);
    copies.push_back({entry.name, entry.tensor, parameter.tensor});
  }
  check_surplus(file, entries, used, names);
  const at::NoGradGuard no_grad;
  for (const Copy& copy : copies) copy_values(file, copy);
}

void load_weights(const std::filesystem::path& path, const std::string& prefix,
                  const std::vector<Parameter>& parameters, const std::vector<std::string>& ignored) {
  load_weights(path, prefix, parameters,
               {[](const std::string& name) { return name; },
                [&ignored](const std::string& name) {
                  return std::find(ignored.begin(), ignored.end(), name) != ignored.end();
                }});
}

void save_weights(const std::filesystem::path& path, const std::string& prefix,
                  const std::vector<Parameter>& parameters, const std::map<std::string, std::string>& notes) {
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
  std::map<std::string, std::string> metadata = notes;
  metadata["format"] = "pt";  // transformers asks for this entry
  write_safetensors(path, tensors, metadata);
}

}  // namespace shelfcast::models
