#include "scorer/forward/model_config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "base/files.h"
#include "scorer/forward/chronos2_config.h"

namespace shelfcast::scorer {
namespace {

using Json = nlohmann::json;

// Reads fields of one object; errors name the file and the field.
class Fields {
 public:
  Fields(const Json& object, std::filesystem::path path, std::string prefix)
      : object_(object), path_(std::move(path)), prefix_(std::move(prefix)) {
    if (!object_.is_object()) fail(prefix_, "is not an object");
  }

  template <typename T>
  T get(const std::string& name) const {
    if (!object_.contains(name)) fail(prefix_ + name, "is missing");
    try {
      return object_.at(name).get<T>();
    } catch (const Json::exception&) {
      fail(prefix_ + name, "has the wrong type");
    }
  }
  // A field that older files lack.
  template <typename T>
  T get_or(const std::string& name, const T& otherwise) const {
    return object_.contains(name) ? get<T>(name) : otherwise;
  }
  std::int64_t count(const std::string& name, std::int64_t smallest) const {
    const auto value = get<std::int64_t>(name);
    if (value < smallest || value > (std::int64_t{1} << 31)) fail(prefix_ + name, "is out of range");
    return value;
  }
  std::vector<std::int64_t> cardinalities(const std::string& name) const {
    auto values = get<std::vector<std::int64_t>>(name);
    for (const std::int64_t value : values)
      if (value < 1 || value > (std::int64_t{1} << 31)) fail(prefix_ + name, "is out of range");
    return values;
  }
  std::vector<double> levels(const std::string& name) const {
    auto values = get<std::vector<double>>(name);
    if (values.empty() || !std::is_sorted(values.begin(), values.end()))
      fail(prefix_ + name, "is not ascending");
    for (const double value : values)
      if (!(value > 0.0 && value < 1.0)) fail(prefix_ + name, "holds a level outside 0..1");
    return values;
  }
  Fields inside(const std::string& name) const {
    if (!object_.contains(name)) fail(prefix_ + name, "is missing");
    return Fields(object_.at(name), path_, prefix_ + name + ".");
  }

  [[noreturn]] void fail(const std::string& field, const std::string& why) const {
    throw data_error("field \"" + field + "\" of " + path_.string() + " " + why, {},
                     "export the bundle again");
  }

 private:
  const Json& object_;
  std::filesystem::path path_;
  std::string prefix_;
};

// Older files lack it.
Architecture read_architecture(const Fields& fields) {
  const auto name = fields.get_or("architecture", std::string("chronos-bolt"));
  if (name == "chronos-bolt") return Architecture::chronos_bolt;
  if (name == "chronos-2") return Architecture::chronos2;
  throw data_error("the bundle's tower is \"" + name + "\"",
                   "this program runs Chronos-Bolt and Chronos-2 towers alone",
                   "train and export a model with one of these");
}

TowerConfig read_tower(const Fields& fields) {
  TowerConfig tower;
  tower.architecture = read_architecture(fields);
  tower.d_model = fields.count("d_model", 1);
  tower.d_kv = fields.count("d_kv", 1);
  tower.d_ff = fields.count("d_ff", 1);
  tower.num_layers = fields.count("num_layers", 1);
  tower.num_heads = fields.count("num_heads", 1);
  tower.epsilon = fields.get<double>("layer_norm_epsilon");
  tower.context_length = fields.count("context_length", 1);
  tower.prediction_length = fields.count("prediction_length", 1);
  tower.patch = fields.count("input_patch_size", 1);
  tower.quantiles = fields.levels("quantiles");
  tower.use_reg_token = fields.get<bool>("use_reg_token");
  tower.stride = fields.count("input_patch_stride", 1);
  tower.activation = fields.get_or("dense_act_fn", std::string("relu"));
  tower.gated = fields.get_or("is_gated_act", false);
  if (tower.architecture == Architecture::chronos2) {
    tower.rope_theta = fields.get<double>("rope_theta");
    tower.time_scale = fields.count("time_encoding_scale", 1);
    tower.use_arcsinh = fields.get<bool>("use_arcsinh");
    if (const std::string problem = problem_of_chronos2(tower); !problem.empty())
      throw data_error("model.json describes an impossible Chronos-2 tower", problem,
                       "export the bundle again");
    return tower;
  }
  tower.num_decoder_layers = fields.count("num_decoder_layers", 1);
  tower.buckets = fields.count("relative_attention_num_buckets", 4);
  tower.max_distance = fields.count("relative_attention_max_distance", 2);
  return tower;
}

// Which older files lack.
void read_counts(const Fields& model, ModelConfig& config) {
  const auto counts = model.get_or<std::string>("counts", "none");
  const auto written = model.get_or<std::string>("written", "quantiles");
  if (counts == "negative_binomial") config.count_parameters = 1;
  if (counts == "zero_inflated") config.count_parameters = 2;
  if (config.count_parameters == 0 && counts != "none") model.fail("model.counts", "is not known here");
  if (written != "quantiles" && written != "counts") model.fail("model.written", "is not known here");
  config.counts_written = written == "counts";
  if (config.count_parameters > 0 && !config.mean_head) model.fail("model.counts", "needs a mean head");
  if (config.counts_written && config.count_parameters == 0) model.fail("model.written", "needs counts");
  const bool tweedie = model.inside("loss").get<std::string>("mean_loss") == "tweedie";
  config.positive_means = config.mean_head && (config.count_parameters > 0 || tweedie);
}

}  // namespace

std::int64_t ModelConfig::steps_read() const { return std::min(context, tower.context_length); }

std::int64_t ModelConfig::patch_columns() const {
  return (groups ? 0 : past_numeric + known_numeric) +
         code_width * static_cast<std::int64_t>(past_cardinalities.size() + known_cardinalities.size());
}

std::int64_t ModelConfig::group_members() const { return 1 + (groups ? past_numeric + known_numeric : 0); }

std::int64_t ModelConfig::recent_seasons() const {
  constexpr std::int64_t kMost = 4;
  return season == 0 ? 0 : std::min(kMost, steps_read() / season);
}

std::int64_t ModelConfig::known_inputs() const {
  return known_numeric + code_width * static_cast<std::int64_t>(known_cardinalities.size()) + 2 +
         (recent_seasons() > 0 ? 3 : 0) + (closures ? 2 : 0);
}

ModelConfig read_model_config(const std::filesystem::path& path) {
  const Json json = Json::parse(read_file(path), nullptr, false);
  if (json.is_discarded()) throw data_error(path.string() + " is not JSON", {}, "export the bundle again");
  const Fields fields(json, path, "");
  if (fields.get<std::int64_t>("format") != 1)
    throw data_error(path.string() + " has a format this program does not know", {},
                     "update shelfcast-score");
  ModelConfig config;
  config.tower = read_tower(fields.inside("tower"));
  const Fields model = fields.inside("model");
  config.quantiles = model.levels("quantiles");
  config.mean_head = model.get<bool>("mean_head");
  read_counts(model, config);
  config.cumulated = model.get_or("cumulated", false);
  config.inventory = model.get_or("inventory", false);
  config.masked = model.get_or("masked", false);
  const auto shares = model.get_or("classes", std::vector<double>());  // older files lack it
  if (!shares.empty() && shares.size() != 2) model.fail("model.classes", "is not two shares");
  config.classes = shares.empty() ? 0 : 3;
  config.static_width = model.count("static_width", 1);
  config.code_width = model.count("code_width", 1);
  config.known_hidden = model.count("known_hidden", 1);
  config.season = model.count("season", 0);
  config.closures = model.get_or("closures", false);  // older files lack it
  config.scale_floor = model.get<double>("scale_floor");
  config.level = model.get_or("level", false);    // older files lack it
  config.groups = model.get_or("groups", false);  // and this
  config.context = fields.count("context", 1);
  config.horizon = fields.count("horizon", 1);
  config.past_numeric = fields.count("past_numeric", 0);
  config.known_numeric = fields.count("known_numeric", 0);
  if (json.contains("open_column"))
    config.open_column = fields.count("open_column", -1);  // older files lack it
  if (config.open_column >= config.known_numeric) fields.fail("open_column", "names no known numeric column");
  if (config.closures && config.open_column < 0)
    model.fail("model.closures", "is true, but no open_column says when a step is closed");
  config.past_cardinalities = fields.cardinalities("past_cardinalities");
  config.known_cardinalities = fields.cardinalities("known_cardinalities");
  config.static_cardinalities = fields.cardinalities("static_cardinalities");
  config.static_numbers =
      json.contains("static_numbers") ? fields.count("static_numbers", 0) : 0;          // as the next
  config.text_width = json.contains("text_width") ? fields.count("text_width", 0) : 0;  // older files lack it
  if (config.text_width > 0) {
    config.text_pooling = model.get<std::string>("text_pooling");
    config.text_length = model.count("text_length", 2);
  }
  if (config.groups && config.tower.architecture != Architecture::chronos2)
    model.fail("model.groups", "is true, but the tower has no groups");
  if (config.horizon > config.tower.prediction_length)
    throw data_error("the horizon in " + path.string() + " is longer than the tower's", {},
                     "export the bundle again");
  return config;
}

}  // namespace shelfcast::scorer
