#include "models/published_config.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "base/json_file.h"
#include "base/safetensors.h"
#include "models/activation.h"
#include "models/series/chronos2_config.h"

namespace shelfcast::models {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kFile = "config.json";

// Beyond these, a size is a mistake: far above any published model's, and their products stay within 64 bits.
constexpr std::int64_t kMostWidth = 1 << 17, kMostBlocks = 1 << 10, kMostSteps = 1 << 24;
const std::map<std::string_view, std::int64_t> kMost = {{"d_model", kMostWidth},
                                                        {"d_kv", kMostWidth},
                                                        {"d_ff", kMostWidth},
                                                        {"hidden_size", kMostWidth},
                                                        {"intermediate_size", kMostWidth},
                                                        {"input_patch_size", kMostWidth},
                                                        {"input_patch_stride", kMostWidth},
                                                        {"output_patch_size", kMostWidth},
                                                        {"max_output_patches", kMostWidth},
                                                        {"relative_attention_num_buckets", kMostWidth},
                                                        {"num_layers", kMostBlocks},
                                                        {"num_decoder_layers", kMostBlocks},
                                                        {"num_heads", kMostBlocks},
                                                        {"num_hidden_layers", kMostBlocks},
                                                        {"num_attention_heads", kMostBlocks}};

std::int64_t most_of(std::string_view key) {
  const auto found = kMost.find(key);
  return found == kMost.end() ? kMostSteps : found->second;
}

// Weights of the large matrices alone; biases, norms and tables are small beside them.
double parameters_of(const TowerConfig& c) {
  const auto as_double = [](std::int64_t size) { return static_cast<double>(size); };
  const double width = as_double(c.d_model), hidden = as_double(c.d_ff),
               heads = as_double(c.num_heads) * as_double(c.d_kv);
  const double attention = 4 * width * heads, feed_forward = (c.gated ? 3 : 2) * width * hidden;
  const bool two = c.architecture == Architecture::chronos2;  // its blocks also attend to groups
  const double encoder = as_double(c.num_layers) * ((two ? 2 : 1) * attention + feed_forward);
  const double decoder = as_double(c.num_decoder_layers) * (2 * attention + feed_forward);
  const double patch = as_double(two ? c.input_patch_size : c.prediction_length);
  const double outputs = as_double(static_cast<std::int64_t>(c.quantiles.size())) * patch;
  const double inputs = (two ? 3 : 2) * as_double(c.input_patch_size);
  return encoder + decoder + (inputs + width) * hidden + inputs * width + (hidden + width) * outputs;
}

bool holds_weights(const fs::path& folder) {
  return fs::exists(folder / "model.safetensors") || fs::exists(folder / "model.safetensors.index.json");
}

}  // namespace

ConfigKeys::ConfigKeys(const json& object, std::string within) : object_(object), within_(std::move(within)) {
  if (!object_.is_object())
    throw data_error(fmt::format("{} is not a JSON object", kFile), "it is damaged or foreign");
}

void ConfigKeys::refuse(const char* key, const std::string& why) const {
  std::string value = object_.at(key).dump();
  constexpr std::size_t kLongest = 80;
  if (value.size() > kLongest) value.replace(kLongest, std::string::npos, "...");
  throw data_error(fmt::format("{} has {}{} {}", kFile, within_, key, value), why,
                   "correct it, or fetch the file again");
}

const json& ConfigKeys::at(const char* key) const {
  const auto found = object_.find(key);
  if (found == object_.end())
    throw data_error(fmt::format("{} has no \"{}{}\"", kFile, within_, key),
                     "a model of this kind cannot do without", "fetch the file again");
  return *found;
}

ConfigKeys ConfigKeys::part(const char* key) const {
  const json& value = at(key);
  if (!value.is_object()) refuse(key, "an object belongs there");
  return ConfigKeys(value, fmt::format("{}{}.", within_, key));
}

bool ConfigKeys::has(const char* key) const {
  const auto found = object_.find(key);
  return found != object_.end() && !found->is_null();
}

void ConfigKeys::read(const char* key, std::int64_t& value) const {
  const json& there = at(key);
  const double number = there.is_number() ? there.get<double>() : 0.5;
  if (number != std::floor(number)) refuse(key, "a whole number belongs there");
  const std::int64_t most = most_of(key);
  if (std::abs(number) > static_cast<double>(most)) refuse(key, fmt::format("{} is the most", most));
  value = static_cast<std::int64_t>(number);
}

void ConfigKeys::read(const char* key, double& value) const {
  const json& there = at(key);
  if (!there.is_number()) refuse(key, "a number belongs there");
  value = there.get<double>();
}

void ConfigKeys::read(const char* key, bool& value) const {
  const json& there = at(key);
  if (!there.is_boolean()) refuse(key, "true or false belongs there");
  value = there.get<bool>();
}

void ConfigKeys::read(const char* key, std::string& value) const {
  const json& there = at(key);
  if (!there.is_string()) refuse(key, "a text belongs there");
  value = there.get<std::string>();
}

void ConfigKeys::read(const char* key, std::vector<double>& value) const {
  const json& there = at(key);
  const bool numbers = there.is_array() && std::all_of(there.begin(), there.end(),
                                                       [](const json& one) { return one.is_number(); });
  if (!numbers) refuse(key, "a list of numbers belongs there");
  there.get_to(value);
}

void ConfigKeys::require_activation(const char* key, const std::string& name) const {
  try {
    (void)activation_of(name);
  } catch (const Error& error) {
    refuse(key, fmt::format("{}; {}", error.problem(), error.why()));
  }
}

Error error_of_file(const fs::path& path, const Error& error) {
  const std::string problem = error.problem().starts_with(kFile)
                                  ? path.string() + error.problem().substr(std::string_view(kFile).size())
                                  : fmt::format("{}: {}", path.string(), error.problem());
  return data_error(problem, error.why(), error.advice());
}

Architecture published_architecture(const json& j) {
  const auto unknown = [](const std::string& why) {
    return data_error(fmt::format("{} describes a model of unknown architecture", kFile), why,
                      "point to a published Chronos-Bolt or Chronos-2 directory");
  };
  const ConfigKeys keys(j);
  if (keys.has("chronos_pipeline_class")) {
    std::string pipeline;
    keys.read("chronos_pipeline_class", pipeline);
    if (pipeline == "Chronos2Pipeline") return Architecture::chronos2;
    if (pipeline == "ChronosBoltPipeline") return Architecture::chronos_bolt;
    throw unknown(fmt::format("its chronos_pipeline_class is \"{}\"", pipeline));
  }
  // Older files leave the pipeline out: those are Chronos-Bolt's, and those of the original Chronos, which
  // reads tokens of a vocabulary where the others read patches.
  if (!keys.has("chronos_config")) throw unknown("it has no chronos_config");
  const json& chronos = j.at("chronos_config");
  if (chronos.is_object() && chronos.contains("tokenizer_class"))
    throw unknown("its chronos_config.tokenizer_class is that of an original Chronos-T5 model");
  return Architecture::chronos_bolt;
}

TowerConfig read_published_tower(const fs::path& folder) {
  const fs::path path = folder / kFile;
  const json described = read_json(path);
  TowerConfig config;
  try {
    config = tower_config_from_published_json(described);
  } catch (const Error& error) {
    throw error_of_file(path, error);
  }
  require_room_for(folder, parameters_of(config));
  return config;
}

void require_room_for(const fs::path& folder, double parameters) {
  if (!holds_weights(folder)) return;
  const StoredWeights weights(folder);
  double stored = 0;
  for (const auto& [name, tensor] : weights.tensors()) stored += static_cast<double>(tensor.elements());
  constexpr double kSlack = 1 << 24;  // that much memory may go before tensors are compared one by one
  if (parameters <= 2 * stored + kSlack) return;
  throw data_error(
      fmt::format("{} describes a model of {:.3g} parameters", (folder / kFile).string(), parameters),
      fmt::format("the weights beside it hold {:.3g} numbers", stored),
      "check that the configuration belongs to these weights");
}

}  // namespace shelfcast::models
