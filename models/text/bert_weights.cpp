#include "models/text/bert_weights.h"

#include "base/safetensors.h"
#include "models/weights.h"

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

}  // namespace

BertParts bert_parts(const fs::path& file_or_folder) {
  const StoredWeights file(file_or_folder);
  BertParts parts{false, false};
  for (const auto& [name, tensor] : file.tensors()) {
    parts.pooler |= canonical(name) == "pooler.dense.weight";
    parts.masked_language |= canonical(name) == "cls.predictions.transform.dense.weight";
  }
  return parts;
}

void load_bert_weights(const fs::path& file_or_folder, const std::vector<Parameter>& parameters,
                       const std::string& prefix) {
  load_weights(file_or_folder, prefix, parameters, {canonical, may_be_left_over});
}

}  // namespace shelfcast::models
