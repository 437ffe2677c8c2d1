#include "models/config.h"

#include <fmt/ranges.h>

#include <cmath>

#include "base/error.h"
#include "models/activation.h"
#include "models/heads_config.h"
#include "models/published_config.h"
#include "models/series/chronos2_config.h"

namespace shelfcast::models {

namespace {

constexpr double kSameLevel = 1e-6;  // levels closer than this are one level

void require_positive(std::int64_t value, const std::string& field) {
  if (value < 1) throw input_error(fmt::format("{} is {}", field, value), "it must be at least 1");
}

void require_dropout(double value, const std::string& field) {
  if (!(value >= 0.0 && value < 1.0)) {
    throw input_error(fmt::format("{} is {}", field, value), "a dropout rate is at least 0 and below 1");
  }
}

// Sizes of a plain tower; docs/model.md says why these.
TowerConfig plain_tower(Architecture architecture, std::int64_t width, std::int64_t hidden,
                        std::int64_t layers, std::int64_t patch) {
  TowerConfig c;
  c.architecture = architecture;
  c.d_model = width;
  c.d_ff = hidden;
  c.num_layers = layers;
  c.num_decoder_layers = 0;
  c.d_kv = width / c.num_heads;
  c.use_reg_token = false;
  c.input_patch_size = c.input_patch_stride = patch;
  return c;
}

}  // namespace

std::string name_of(Architecture architecture) {
  switch (architecture) {
    case Architecture::chronos2:
      return "chronos-2";
    case Architecture::lstm:
      return "lstm";
    case Architecture::tcn:
      return "tcn";
    case Architecture::transformer:
      return "transformer";
    case Architecture::chronos_bolt:
      break;
  }
  return "chronos-bolt";
}

bool is_published(Architecture architecture) {
  return architecture == Architecture::chronos_bolt || architecture == Architecture::chronos2;
}

std::int64_t tcn_layers(std::int64_t tokens) {
  std::int64_t layers = 1;
  while (1 + 2 * (kTcnTaps - 1) * ((std::int64_t{1} << layers) - 1) < tokens) ++layers;
  return layers;
}

void require_levels(const std::vector<double>& levels, const std::string& field) {
  if (levels.empty()) throw input_error(field + " is empty", "", "name at least one level, such as 0.5");
  for (std::size_t i = 0; i < levels.size(); ++i) {
    const bool ascending = i == 0 || levels[i] > levels[i - 1];
    if (!(levels[i] > 0.0 && levels[i] < 1.0) || !ascending) {
      throw input_error(fmt::format("{} holds {}", field, levels[i]),
                        "levels lie between 0 and 1 and ascend");
    }
  }
}

void TowerConfig::validate() const {
  require_positive(d_model, "d_model");
  require_positive(d_kv, "d_kv");
  require_positive(d_ff, "d_ff");
  require_positive(num_layers, "num_layers");
  require_positive(num_heads, "num_heads");
  require_positive(context_length, "context_length");
  require_positive(prediction_length, "prediction_length");
  require_positive(input_patch_size, "input_patch_size");
  require_levels(quantiles, "quantiles");
  require_dropout(dropout_rate, "dropout_rate");
  require_positive(input_patch_stride, "input_patch_stride");
  (void)activation_of(activation);
  if (!(layer_norm_epsilon > 0.0)) throw input_error("layer_norm_epsilon is not positive");
  if (!(initializer_factor > 0.0)) throw input_error("initializer_factor is not positive");
  if (architecture == Architecture::chronos2) chronos2_config(*this).validate();
  if (architecture != Architecture::chronos_bolt) return;
  require_positive(num_decoder_layers, "num_decoder_layers");
  if (relative_attention_num_buckets < 4 || relative_attention_num_buckets % 2 != 0) {
    throw input_error(fmt::format("relative_attention_num_buckets is {}", relative_attention_num_buckets),
                      "it must be even and at least 4");
  }
  if (relative_attention_max_distance <= relative_attention_num_buckets / 4) {
    throw input_error(fmt::format("relative_attention_max_distance is {}", relative_attention_max_distance),
                      "it must exceed a quarter of relative_attention_num_buckets");
  }
}

TowerConfig named_tower(const std::string& name) {
  TowerConfig c;
  const auto size = [&c](std::int64_t width, std::int64_t ff, std::int64_t layers, std::int64_t heads) {
    c.d_model = width;
    c.d_ff = ff;
    c.num_layers = c.num_decoder_layers = layers;
    c.num_heads = heads;
    return c;
  };
  if (name == "bolt-nano") {
    c.d_kv = 16;
    return size(64, 256, 2, 4);
  }
  if (name == "bolt-tiny") return size(256, 1024, 4, 4);
  if (name == "bolt-mini") return size(384, 1536, 4, 8);
  if (name == "bolt-small") return size(512, 2048, 6, 8);
  if (name == "bolt-base") return size(768, 3072, 12, 12);
  for (const char* known : kChronos2Names)
    if (name == known) return tower_config(named_chronos2(name));
  if (name == "lstm") return plain_tower(Architecture::lstm, 64, 128, 2, 1);
  if (name == "tcn") return plain_tower(Architecture::tcn, 64, 128, 1, 1);
  if (name == "transformer") return plain_tower(Architecture::transformer, 128, 256, 3, 16);
  std::vector<std::string> names = {"bolt-nano", "bolt-tiny", "bolt-mini", "bolt-small", "bolt-base"};
  names.insert(names.end(), std::begin(kChronos2Names), std::end(kChronos2Names));
  names.insert(names.end(), {"lstm", "tcn", "transformer"});
  const std::string near = nearest_name(name, names);
  throw input_error(fmt::format("there is no tower \"{}\"", name), "",
                    near.empty() ? fmt::format("choose one of {}", fmt::join(names, ", "))
                                 : fmt::format("did you mean \"{}\"?", near));
}

Architecture ModelConfig::architecture() const {
  return weights.empty() ? named_tower(tower).architecture : read_published_tower(weights).architecture;
}

std::int64_t ModelConfig::count_parameters() const {
  switch (counts) {
    case Counts::none:
      return 0;
    case Counts::negative_binomial:
      return 1;
    case Counts::zero_inflated:
      return 2;
  }
  return 0;
}

std::int64_t ModelConfig::class_count() const { return classes.empty() ? 0 : kDemandClasses; }

bool ModelConfig::positive_means() const {
  return mean_head && (counts != Counts::none || loss.mean_loss == LossConfig::MeanLoss::tweedie);
}

void LabelLossConfig::validate() const {
  for (const auto& [weight, field] : {std::pair(text_class, "class"), std::pair(tags, "tags")})
    if (!(weight > 0.0))
      throw input_error(fmt::format("model.labels.{} must be positive", field),
                        fmt::format("it is {}", weight),
                        "a head is left out by naming no column for it in data.labels");
  for (const auto& [weights, field] :
       {std::pair(&class_weights, "class_weights"), std::pair(&tag_weights, "tag_weights")})
    for (const double weight : *weights)
      if (!(weight > 0.0))
        throw input_error(fmt::format("model.labels.{} must be positive", field),
                          fmt::format("one is {}", weight));
  if (!(label_smoothing >= 0.0 && label_smoothing < 1.0))
    throw input_error("model.labels.label_smoothing must be at least 0 and below 1",
                      fmt::format("it is {}", label_smoothing));
}

void ModelConfig::validate() const {
  if (patch < 0)
    throw input_error("model.patch is negative", fmt::format("it is {}", patch), "0 = the tower's own");
  require_levels(quantiles, "model.quantiles");
  require_dropout(dropout, "model.dropout");
  require_positive(static_width, "model.static_width");
  require_positive(code_width, "model.code_width");
  require_positive(known_hidden, "model.known_hidden");
  if (season < 0)
    throw input_error("model.season is negative", fmt::format("it is {}", season), "0 = no season");
  if (!(loss.scale_power >= 0.0)) throw input_error("model.loss.scale_power is negative");
  if (!(scale_floor >= 0.0)) throw input_error("model.scale_floor is negative");
  require_positive(text_length, "model.text_length");
  validate_heads(*this);
  labels.validate();
  if (weights.empty()) (void)named_tower(tower);
}

std::int64_t DemandModelConfig::patch_columns() const {
  const auto codes = past_cardinalities.size() + known_cardinalities.size();
  return (model.groups ? 0 : past_numeric + known_numeric) +
         model.code_width * static_cast<std::int64_t>(codes);
}

std::int64_t DemandModelConfig::group_members() const {
  return 1 + (model.groups ? past_numeric + known_numeric : 0);
}

std::int64_t DemandModelConfig::recent_seasons() const {
  constexpr std::int64_t kMost = 4;  // older ones say more about the past than about the forecast
  return model.season == 0 ? 0 : std::min(kMost, std::min(context, tower.context_length) / model.season);
}

std::int64_t DemandModelConfig::known_head_inputs() const {
  return known_numeric + model.code_width * static_cast<std::int64_t>(known_cardinalities.size()) + 2 +
         (recent_seasons() > 0 ? 3 : 0) + (model.closures ? 2 : 0);
}

std::int64_t DemandModelConfig::median_index() const {
  std::size_t best = 0;
  for (std::size_t i = 1; i < model.quantiles.size(); ++i) {
    if (std::abs(model.quantiles[i] - 0.5) < std::abs(model.quantiles[best] - 0.5) - kSameLevel) best = i;
  }
  return static_cast<std::int64_t>(best);
}

std::vector<std::int64_t> DemandModelConfig::tower_rows() const {
  std::vector<std::int64_t> rows;
  for (const double level : model.quantiles) {
    std::size_t row = 0;
    while (row < tower.quantiles.size() && std::abs(tower.quantiles[row] - level) >= kSameLevel) ++row;
    if (row == tower.quantiles.size()) {
      throw input_error(fmt::format("model.quantiles asks for level {}", level),
                        fmt::format("the tower's weights forecast {}", fmt::join(tower.quantiles, ", ")),
                        "choose among these or train from scratch");
    }
    rows.push_back(static_cast<std::int64_t>(row));
  }
  return rows;
}

void DemandModelConfig::validate() const {
  tower.validate();
  model.validate();
  require_positive(context, "data.context");
  require_positive(horizon, "data.horizon");
  if (horizon > tower.prediction_length) {
    throw input_error(fmt::format("data.horizon is {}", horizon),
                      fmt::format("the tower forecasts {} steps", tower.prediction_length));
  }
  for (const auto* cardinalities : {&past_cardinalities, &known_cardinalities, &static_cardinalities}) {
    for (const std::int64_t cardinality : *cardinalities)
      require_positive(cardinality, "a column's cardinality");
  }
  if (open_column < -1 || open_column >= known_numeric)
    throw input_error(fmt::format("open_column is {}", open_column),
                      fmt::format("there are {} known numeric columns", known_numeric));
  if (model.closures && open_column < 0)
    throw input_error("model.closures is true, but nothing says when a step is closed", "data.open is empty",
                      "set it to a column of data.known, or model.closures: false");
  if (static_numbers < 0) throw input_error(fmt::format("static_numbers is {}", static_numbers));
  if (model.level && static_cardinalities.empty() && static_numbers == 0 && text_width == 0)
    throw input_error("model.level is true, but there is nothing to tell a level by",
                      "the model reads neither statics nor text", "set data.static or data.text");
  if (model.masked && !is_published(tower.architecture))
    throw input_error("model.heads.masked is true, but the tower keeps no states of the context",
                      fmt::format("{} ends in one state of a window", name_of(tower.architecture)),
                      "leave it out, or choose a Chronos-Bolt or Chronos-2 tower");
  if (model.masked && tower.input_patch_stride != tower.input_patch_size)
    throw input_error(
        "model.heads.masked is true, but patches overlap or leave steps out",
        fmt::format("the tower reads {} steps every {}", tower.input_patch_size, tower.input_patch_stride),
        "leave it out: what is hidden in one patch stands in the next");
  if (model.groups && tower.architecture != Architecture::chronos2)
    throw input_error(
        "model.groups is true, but the tower has no groups",
        fmt::format("it is {}; only Chronos-2 attends to other series", name_of(tower.architecture)),
        "leave model.groups out, or choose a Chronos-2 tower");
  if (model.groups && group_members() == 1)
    throw input_error("model.groups is true, but a window's demand would be alone in its group",
                      "the model reads no numeric covariate", "name one in data.known or data.past");
  if (text_width < 0)
    throw input_error(fmt::format("text_width is {}", text_width), "a width is positive, or 0 for no text");
  (void)tower_rows();
}

TowerConfig tower_for(const ModelConfig& model, std::int64_t context, std::int64_t horizon) {
  model.validate();
  require_positive(context, "data.context");
  require_positive(horizon, "data.horizon");
  if (model.weights.empty()) {
    TowerConfig tower = named_tower(model.tower);
    if (model.patch > 0) tower.input_patch_size = tower.input_patch_stride = model.patch;
    const std::int64_t patches = (context + tower.input_patch_size - 1) / tower.input_patch_size;
    tower.context_length = tower.time_encoding_scale = patches * tower.input_patch_size;
    if (tower.architecture == Architecture::tcn) tower.num_layers = tcn_layers(patches);
    tower.prediction_length = horizon;
    if (tower.architecture == Architecture::chronos2)
      tower.prediction_length =
          (horizon + tower.input_patch_size - 1) / tower.input_patch_size * tower.input_patch_size;
    tower.quantiles = model.quantiles;
    tower.dropout_rate = model.dropout;
    tower.initializer_factor = 1.0;
    return tower;
  }
  TowerConfig tower = read_published_tower(model.weights);
  tower.dropout_rate = model.dropout;
  if (tower.prediction_length < horizon) {
    throw input_error(
        fmt::format("data.horizon is {}", horizon),
        fmt::format("the weights in {} forecast {} steps", model.weights, tower.prediction_length),
        "shorten the horizon or train from scratch");
  }
  return tower;
}

}  // namespace shelfcast::models
