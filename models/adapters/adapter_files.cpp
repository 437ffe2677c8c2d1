// Adapters as the PEFT package stores them: a tensor is called "base_model.model." and then as in the
// published model.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "base/json_file.h"
#include "base/safetensors.h"
#include "models/adapters/adapter.h"
#include "models/adapters/targets.h"
#include "models/weights.h"

namespace shelfcast::models {
namespace {

namespace fs = std::filesystem;

constexpr const char *kConfig = "adapter_config.json", *kTensors = "adapter_model.safetensors",
                     *kDigest = "base_digest";
constexpr std::string_view kStored = "base_model.model.", kDown = ".lora_A.weight", kAdaptiveDown = ".lora_A";

std::string canonical(const std::string& stored) {
  return stored.starts_with(kStored) ? stored.substr(kStored.size()) : stored;
}

std::vector<std::string> modules_in(const SafetensorsFile& file) {
  std::set<std::string> modules;
  for (const auto& [stored, tensor] : file.tensors()) {
    const std::string name = canonical(stored);
    for (const std::string_view end : {kDown, kAdaptiveDown})
      if (name.ends_with(end)) modules.insert(name.substr(0, name.size() - end.size()));
  }
  return {modules.begin(), modules.end()};
}

bool is_given(const nlohmann::json& j, const char* key) {
  const auto found = j.find(key);
  return found != j.end() && !found->is_null() && !(found->is_structured() && found->empty());
}

// What the adapter's file holds of a model.
std::vector<Parameter> stored_parameters(const std::vector<Parameter>& parameters, const std::string& prefix,
                                         const AdapterConfig& config) {
  std::vector<Parameter> stored;
  std::copy_if(parameters.begin(), parameters.end(), std::back_inserter(stored), [&](const Parameter& p) {
    return p.name.starts_with(prefix) &&
           (p.adapter || is_saved_module(p, prefix, modules_to_save_of(config)));
  });
  return stored;
}

}  // namespace

std::string base_digest(const fs::path& weights) {
  const StoredWeights file(weights);
  std::string all;
  for (const auto& [name, tensor] : file.tensors()) {
    all += fmt::format("{} {} [{}] {}\n", name, to_string(tensor.dtype), fmt::join(tensor.shape, ","),
                       digest_bytes(tensor.bytes));
    file.release(tensor);
  }
  return digest_text(all);
}

AdapterConfig read_adapter_config(const fs::path& folder) {
  if (!fs::exists(folder / kConfig))
    throw input_error(fmt::format("{} holds no adapter", folder.string()),
                      fmt::format("it has no {}", kConfig),
                      "name a folder that PEFT's save_pretrained wrote, or a checkpoint's adapter/");
  nlohmann::json json = read_json(folder / kConfig);
  const bool listed = json.contains("target_modules") && json["target_modules"].is_array() &&
                      !is_given(json, "exclude_modules") && !is_given(json, "layers_to_transform");
  const std::vector<std::string> modules = modules_in(SafetensorsFile(folder / kTensors));
  if (json.contains("peft_type") && !listed) json["target_modules"] = modules;
  AdapterConfig config = adapter_config_from_json(json);
  if (auto* lora = std::get_if<LoraConfig>(&config)) {
    const bool all_match = std::all_of(modules.begin(), modules.end(), [&](const std::string& module) {
      return is_named(module, lora->targets);
    });
    if (!all_match) lora->targets = modules;
  }
  return config;
}

std::string unchecked_base(const fs::path& folder) {
  if (SafetensorsFile(folder / kTensors).metadata().contains(kDigest)) return {};
  const nlohmann::json json = read_json(folder / kConfig);
  const auto base = json.find("base_model_name_or_path");
  return base != json.end() && base->is_string() ? fs::path(base->get<std::string>()).filename().string()
                                                 : "";
}

void load_adapter(const fs::path& folder, const std::vector<Parameter>& parameters, const std::string& prefix,
                  const AdapterConfig& config, const std::string& digest) {
  const fs::path path = folder / kTensors;
  const auto metadata = SafetensorsFile(path).metadata();
  const auto made_for = metadata.find(kDigest);
  if (made_for != metadata.end() && made_for->second != digest)
    throw data_error(fmt::format("the adapter {} was made for another base model", folder.string()),
                     fmt::format("its base has the digest {}, this one {}", made_for->second, digest),
                     "set model.weights to the base it was trained on");
  try {
    load_weights(path, prefix, stored_parameters(parameters, prefix, config),
                 {canonical, [](const std::string&) { return false; }});
  } catch (const Error& error) {
    throw Error(error.kind(), error.problem(), error.why(),
                "check that the adapter belongs to this base and to the configuration beside it");
  }
}

void save_adapter(const fs::path& folder, const std::vector<Parameter>& values, const std::string& prefix,
                  const AdapterConfig& config, const std::string& base, const std::string& digest) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) throw io_error("cannot make " + folder.string(), failed.value());
  write_file_atomically(folder / kConfig, to_json(config, base).dump(2) + "\n");
  std::vector<Parameter> stored = stored_parameters(values, prefix, config);
  for (Parameter& parameter : stored)
    parameter.name = fmt::format("{}{}", kStored, parameter.name.substr(prefix.size()));
  save_weights(folder / kTensors, "", stored, {{kDigest, digest}});
}

}  // namespace shelfcast::models
