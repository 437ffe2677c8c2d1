#include "models/text/bert_weights.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/error.h"
#include "base/safetensors.h"

namespace shelfcast::models {

namespace {

namespace fs = std::filesystem;

// Today's name without a prefix.
std::string canonical(std::string name) {
  if (name.starts_with("bert.")) name.erase(0, 5);
  const auto renamed = [&name](const char* old, const char* now) {
    const std::string ending(old);
    if (name.ends_with(ending)) name.replace(name.size() - ending.size(), ending.size(), now);
  };
  renamed("LayerNorm.gamma", "LayerNorm.weight");
  renamed("LayerNorm.beta", "LayerNorm.bias");
  return name;
}

bool may_be_left_over(const std::string& name) {
  return name.starts_with("cls.") || name.starts_with("pooler.") || name == "embeddings.position_ids";
}

struct Entry {
  std::string name;  // as in the file
  const StoredTensor* tensor;
};

std::map<std::string, Entry> entries_of(const SafetensorsFile& file) {
  std::map<std::string, Entry> entries;
  for (const auto& [name, tensor] : file.tensors()) {
    const auto [there, added] = entries.try_emplace(canonical(name), Entry{name, &tensor});
    if (!added)
      throw data_error(
          fmt::format("{} holds \"{}\" and \"{}\"", file.path().string(), there->second.name, name),
          "they are two names of one tensor", "remove one of them");
  }
  return entries;
}

const Entry& find(const std::map<std::string, Entry>& entries, const std::string& name,
                  const SafetensorsFile& file) {
  if (const auto found = entries.find(name); found != entries.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [there, entry] : entries) names.push_back(there);
  const std::string near = nearest_name(name, names);
  throw data_error(fmt::format("{} lacks the tensor \"{}\"", file.path().string(), name),
                   near.empty() ? "" : fmt::format("the nearest name in it is \"{}\"", near),
                   "check that config.json beside it belongs to these weights");
}

// The values, once shape and numbers are found to be sound.
at::Tensor checked(const Entry& entry, const at::Tensor& wanted, const SafetensorsFile& file) {
  if (entry.tensor->shape != wanted.sizes().vec())
    throw data_error(fmt::format("tensor \"{}\" in {} has shape [{}]", entry.name, file.path().string(),
                                 fmt::join(entry.tensor->shape, ", ")),
                     fmt::format("the model needs [{}]", fmt::join(wanted.sizes().vec(), ", ")),
                     "check that config.json beside it belongs to these weights");
  const std::vector<float> values = entry.tensor->to_float();
  const auto bad = std::find_if(values.begin(), values.end(), [](float x) { return !std::isfinite(x); });
  if (bad != values.end())
    throw data_error(fmt::format("tensor \"{}\" in {} holds {} at element {}", entry.name,
                                 file.path().string(), *bad, bad - values.begin()),
                     "weights must be finite numbers",
                     "the file is damaged or its training diverged; fetch it again");
  return at::from_blob(const_cast<float*>(values.data()), wanted.sizes(), at::kFloat).clone();
}

}  // namespace

fs::path bert_weights_file(const fs::path& folder) {
  const fs::path file = folder / "model.safetensors";
  if (fs::exists(file)) return file;
  const bool other = fs::exists(folder / "pytorch_model.bin");
  throw input_error(fmt::format("{} holds no model.safetensors", folder.string()),
                    other ? "its pytorch_model.bin is a Python pickle, which is not read" : "",
                    other ? "convert it: AutoModel.from_pretrained(...).save_pretrained(...) of transformers"
                          : "give the directory of a BERT-family model");
}

BertParts bert_parts(const fs::path& path) {
  const SafetensorsFile file(path);
  const auto entries = entries_of(file);
  return {entries.count("pooler.dense.weight") != 0,
          entries.count("cls.predictions.transform.dense.weight") != 0};
}

void load_bert_weights(const fs::path& path, const std::vector<Parameter>& parameters,
                       const std::string& prefix) {
  const SafetensorsFile file(path);
  const auto entries = entries_of(file);
  std::set<std::string> used;
  std::vector<std::pair<at::Tensor, at::Tensor>> copies;
  for (const Parameter& parameter : parameters) {
    if (!parameter.name.starts_with(prefix)) continue;
    const std::string name = parameter.name.substr(prefix.size());
    copies.emplace_back(parameter.tensor, checked(find(entries, name, file), parameter.tensor, file));
    used.insert(name);
  }
  for (const auto& [name, entry] : entries) {
    if (used.count(name) != 0 || may_be_left_over(name)) continue;
    throw data_error(
        fmt::format("{} holds a tensor \"{}\" that this model has no place for", path.string(), entry.name),
        "the weights belong to another model or another version of it");
  }
  const at::NoGradGuard no_grad;
  for (auto& [parameter, values] : copies) parameter.copy_(values);
}

}  // namespace shelfcast::models
