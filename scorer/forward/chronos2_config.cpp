#include "scorer/forward/chronos2_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_file.h"
#include "scorer/forward/activation.h"

namespace shelfcast::scorer {
namespace {

using Json = nlohmann::json;
constexpr const char* kAdvice = "fetch or export the model again";

// Fields of one object of the file; null counts as missing, as in the package.
class Fields {
 public:
  Fields(const Json& object, const std::filesystem::path& path) : object_(object), path_(path) {}

  template <typename T>
  T get_or(const char* name, const T& otherwise) const {
    const auto found = object_.find(name);
    if (found == object_.end() || found->is_null()) return otherwise;
    try {
      return found->get<T>();
    } catch (const Json::exception&) {
      fail(name, "has the wrong type");
    }
  }
  template <typename T>
  T get(const char* name) const {
    if (!object_.contains(name) || object_.at(name).is_null()) fail(name, "is missing");
    return get_or<T>(name, T());
  }
  std::int64_t checked(const char* name, std::int64_t value, std::int64_t smallest = 1) const {
    if (value < smallest || value > (std::int64_t{1} << 31)) fail(name, "is out of range");
    return value;
  }
  std::int64_t count(const char* name, std::int64_t otherwise) const {
    return checked(name, get_or<std::int64_t>(name, otherwise));
  }
  std::int64_t count(const char* name) const { return checked(name, get<std::int64_t>(name)); }
  double positive(const char* name, double otherwise) const {
    const double value = get_or<double>(name, otherwise);
    if (!(value > 0.0)) fail(name, "is not positive");
    return value;
  }
  [[noreturn]] void fail(const std::string& field, const std::string& why) const {
    throw data_error(fmt::format("field \"{}\" of {} {}", field, path_.string(), why), {}, kAdvice);
  }

 private:
  const Json& object_;
  const std::filesystem::path& path_;
};

void check_kind(const Json& json, const Fields& fields, const std::filesystem::path& path) {
  const auto kind = fields.get_or<std::string>("chronos_pipeline_class", "Chronos2Pipeline");
  if (!json.contains("chronos_config") || !json.at("chronos_config").is_object() ||
      kind != "Chronos2Pipeline")
    throw data_error(
        fmt::format("{} does not describe a Chronos-2 model", path.string()),
        kind == "Chronos2Pipeline"
            ? "it has no \"chronos_config\""
            : fmt::format("its chronos_pipeline_class is \"{}\", not \"Chronos2Pipeline\"", kind),
        "name a folder with a Chronos-2 model");
}

std::vector<double> levels(const Fields& fields) {
  auto values = fields.get<std::vector<double>>("quantiles");
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!(values[i] > 0.0 && values[i] < 1.0) || (i > 0 && values[i] <= values[i - 1]))
      fields.fail("quantiles", fmt::format("holds {}: levels lie between 0 and 1 and ascend", values[i]));
  if (values.empty()) fields.fail("quantiles", "is empty");
  return values;
}

void read_chronos_part(const Fields& fields, TowerConfig& config) {
  config.context_length = fields.count("context_length");
  config.patch = fields.count("input_patch_size");
  config.stride = fields.count("input_patch_stride");
  if (fields.count("output_patch_size") != config.patch)
    fields.fail("output_patch_size", "differs from input_patch_size");
  config.prediction_length = fields.count("max_output_patches", 1) * config.patch;
  config.time_scale = fields.count("time_encoding_scale", config.context_length);
  config.quantiles = levels(fields);
  config.use_reg_token = fields.get_or("use_reg_token", false);
  config.use_arcsinh = fields.get_or("use_arcsinh", false);
}

}  // namespace

std::string problem_of_chronos2(const TowerConfig& config) {
  if (config.d_kv % 2 != 0) return fmt::format("d_kv is {}: rotary positions turn pairs", config.d_kv);
  if (config.stride > config.patch)
    return fmt::format("input_patch_stride is {}: input_patch_size is {}", config.stride, config.patch);
  if (config.prediction_length % config.patch != 0)
    return fmt::format("prediction_length is {}: patches have {} steps", config.prediction_length,
                       config.patch);
  if (config.gated || config.activation.starts_with("gated-")) return "Chronos-2 has no gated layers";
  if (!(config.rope_theta > 0.0)) return fmt::format("rope_theta is {}", config.rope_theta);
  (void)activation_function(config.activation);
  return "";
}

TowerConfig read_chronos2_config(const std::filesystem::path& path) {
  const Json json = read_json(path);
  if (!json.is_object()) throw data_error(path.string() + " is not a JSON object", {}, kAdvice);
  const Fields fields(json, path);
  check_kind(json, fields, path);
  TowerConfig config;
  config.architecture = Architecture::chronos2;
  config.d_model = fields.count("d_model", 512);
  config.d_kv = fields.count("d_kv", 64);
  config.d_ff = fields.count("d_ff", 2048);
  config.num_layers = fields.count("num_layers", 6);
  config.num_heads = fields.count("num_heads", 8);
  config.epsilon = fields.positive("layer_norm_epsilon", 1e-6);
  config.rope_theta = fields.positive("rope_theta", 10000.0);
  config.activation = fields.get_or<std::string>("feed_forward_proj", "relu");
  read_chronos_part(Fields(json.at("chronos_config"), path), config);
  if (const std::string problem = problem_of_chronos2(config); !problem.empty())
    throw data_error(fmt::format("{} describes an impossible model", path.string()), problem, kAdvice);
  return config;
}

}  // namespace shelfcast::scorer
