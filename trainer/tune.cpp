#include "trainer/tune.h"

#include <fmt/ranges.h>

#include <cmath>

#include "base/error.h"
#include "base/log.h"
#include "models/adapters/adapter.h"
#include "models/adapters/targets.h"
#include "trainer/model_inputs.h"
#include "trainer/run/run_folder.h"

namespace shelfcast::trainer {
namespace {

constexpr std::string_view kEncoder = "tower.encoder.block.", kDecoder = "tower.decoder.block.";

// Where a parameter stands between a model's output and its input.
struct Place {
  // Blocks between it and the output: 0 for heads, for whatever the tower did not bring along (statics,
  // covariates) and for its last norm and output layer.
  std::int64_t depth = 0;
  std::int64_t from_top = 0;  // of its own stack: 1 = the last block; 0 = not in a block
};

Place place_of(const std::string& name, const models::TowerConfig& tower) {
  const auto block = [&](std::string_view stack) { return std::stoll(name.substr(stack.size())); };
  if (name.starts_with(kDecoder)) {
    const std::int64_t from_top = tower.num_decoder_layers - block(kDecoder);
    return {from_top, from_top};
  }
  if (name.starts_with(kEncoder)) {
    const std::int64_t from_top = tower.num_layers - block(kEncoder);
    return {tower.num_decoder_layers + from_top, from_top};
  }
  if (name.starts_with("tower.encoder.final_layer_norm")) return {tower.num_decoder_layers, 0};
  if (name.starts_with("tower.input_patch_embedding") || name.starts_with("tower.shared"))
    return {tower.num_decoder_layers + tower.num_layers + 1, 0};
  return {};
}

constexpr const char* kTower = "tower.";

bool is_trained(const models::Parameter& parameter, const Place& place, const TuneConfig& tune,
                const models::DemandModel& model) {
  const models::TowerConfig& tower = model.config().tower;
  if (const models::AdapterConfig* adapter = model.adapter())
    return !parameter.name.starts_with(kTower) || parameter.adapter ||
           models::is_saved_module(parameter, kTower, models::modules_to_save_of(*adapter));
  if (tune.method == "all" || place.depth == 0) return true;
  if (tune.method == "heads") return false;
  if (place.from_top > 0) return place.from_top <= tune.layers;
  // The norm over the encoder's blocks goes with them.
  return place.depth == tower.num_decoder_layers;
}

void check_layers(const TuneConfig& tune, const models::TowerConfig& tower) {
  const bool decodes = tower.architecture == models::Architecture::chronos_bolt;
  if (tune.method == "top" &&
      tune.layers > (decodes ? std::min(tower.num_layers, tower.num_decoder_layers) : tower.num_layers))
    throw input_error(fmt::format("tune.layers is {}", tune.layers),
                      fmt::format("the tower has {} encoder and {} decoder blocks", tower.num_layers,
                                  decodes ? tower.num_decoder_layers : 0),
                      "lower it, or train everything with tune.method=all");
}

}  // namespace

Recipe with_adapter(Recipe recipe) {
  if (!recipe.tune.adapter.empty()) {
    // A run that goes on has the adapter in its checkpoints, and what it is like in its recipe.
    const RunFolder run(recipe.run.dir);
    const auto kept = run.exists() ? run.stored_recipe().tune.adapter_config() : std::nullopt;
    const bool gone = !std::filesystem::exists(recipe.tune.adapter);
    recipe.tune.set_adapter_config(gone && kept ? *kept : models::read_adapter_config(recipe.tune.adapter));
  }
  recipe.tune.budget.steps = recipe.train.steps;
  return recipe;
}

std::vector<std::string> unread_keys(const TuneConfig& tune) {
  const TuneConfig usual;
  const bool lora = tune.method == "lora" || tune.method == "adalora", bottleneck = tune.method == "adapter",
             prefix = tune.method == "prefix", adapter = lora || bottleneck || prefix;
  std::vector<std::string> unread;
  const auto look = [&](const char* key, bool read, const auto& value, const auto& default_value) {
    if (!read && value != default_value) unread.emplace_back(key);
  };
  look("tune.layers", tune.method == "top", tune.layers, usual.layers);
  look("tune.rank", lora, tune.lora.rank, usual.lora.rank);
  look("tune.alpha", lora, tune.lora.alpha, usual.lora.alpha);
  look("tune.rslora", lora, tune.lora.rslora, usual.lora.rslora);
  look("tune.targets", lora, tune.lora.targets, usual.lora.targets);
  look("tune.dropout", adapter, tune.lora.dropout, usual.lora.dropout);
  look("tune.modules_to_save", adapter, tune.lora.modules_to_save, usual.lora.modules_to_save);
  const bool budget = tune.method == "adalora";
  look("tune.budget.target", budget, tune.budget.target, usual.budget.target);
  look("tune.budget.warmup", budget, tune.budget.warmup, usual.budget.warmup);
  look("tune.budget.final", budget, tune.budget.final, usual.budget.final);
  look("tune.budget.every", budget, tune.budget.every, usual.budget.every);
  look("tune.budget.beta1", budget, tune.budget.beta1, usual.budget.beta1);
  look("tune.budget.beta2", budget, tune.budget.beta2, usual.budget.beta2);
  look("tune.budget.orthogonal", budget, tune.budget.orthogonal, usual.budget.orthogonal);
  look("tune.size", bottleneck, tune.bottleneck.size, usual.bottleneck.size);
  look("tune.activation", bottleneck, tune.bottleneck.activation, usual.bottleneck.activation);
  look("tune.after", bottleneck, tune.bottleneck.after, usual.bottleneck.after);
  look("tune.prefix", prefix, tune.prefix.length, usual.prefix.length);
  look("tune.attentions", prefix, tune.prefix.attentions, usual.prefix.attentions);
  look("tune.text_layers", tune.text == TuneConfig::Text::top, tune.text_layers, usual.text_layers);
  look("tune.text_rate", tune.text != TuneConfig::Text::frozen, tune.text_rate, usual.text_rate);
  return unread;
}

std::vector<std::string> untrained_outputs(const models::ModelConfig& model) {
  using models::ModelConfig;
  std::vector<std::string> outputs;
  if (!model.weights.empty()) return outputs;
  const bool by_counts = model.counts != ModelConfig::Counts::none && model.loss.counts > 0;
  if (model.loss.quantile == 0 && model.written == ModelConfig::WrittenQuantiles::quantiles)
    outputs.emplace_back("quantiles (model.loss.quantile is 0)");
  if (model.mean_head && model.loss.mean == 0 && !by_counts)
    outputs.emplace_back("the mean (model.loss.mean is 0)");
  return outputs;
}

void check_tuning(const Recipe& recipe, const data::FeatureSpec& features) {
  if (const std::vector<std::string> outputs = untrained_outputs(recipe.model); !outputs.empty())
    log::warn("forecasts and their scores will be of outputs that nothing trains: {}",
              fmt::join(outputs, ", "));
  if (!recipe.model.text.empty() && !recipe.data.text)
    log::warn("model.text is not read: data.text is false, so the model learns without texts");
  if (const std::vector<std::string> unread = unread_keys(recipe.tune); !unread.empty())
    log::all("tune.method {} does not read {}", recipe.tune.method, fmt::join(unread, ", "));
  if (!recipe.tune.adapter.empty() && std::filesystem::exists(recipe.tune.adapter)) {
    const std::string base = models::unchecked_base(recipe.tune.adapter);
    if (recipe.model.weights.find(base) == std::string::npos)
      log::warn(
          "the adapter {} says that it belongs to {}, and model.weights is {} - names and shapes of tensors "
          "are all "
          "that can be compared",
          recipe.tune.adapter, base, recipe.model.weights);
  }
  const models::DemandModelConfig config = make_model_config(recipe.model, features);
  config.validate();
  check_layers(recipe.tune, config.tower);
  if (const auto adapter = recipe.tune.adapter_config()) models::DemandModel::check_adapter(config, *adapter);
}

models::DemandModel make_model(const Recipe& recipe, const data::FeatureSpec& features) {
  const auto seed = static_cast<std::uint64_t>(recipe.run.seed);
  models::DemandModel model(make_model_config(recipe.model, features), seed);
  if (!recipe.tune.adapter.empty()) {
    model.add_adapter(std::filesystem::path(recipe.tune.adapter));
  } else if (const auto adapter = recipe.tune.adapter_config()) {
    model.add_adapter(*adapter, seed);
  }
  return model;
}

std::vector<parallel::FlatParameter> trained_parameters(const models::DemandModel& model,
                                                        const TuneConfig& tune) {
  const models::TowerConfig& tower = model.config().tower;
  std::vector<parallel::FlatParameter> trained;
  for (const models::Parameter& parameter : model.parameters()) {
    const Place place = place_of(parameter.name, tower);
    at::Tensor tensor = parameter.tensor;
    tensor.set_requires_grad(is_trained(parameter, place, tune, model));
    if (tensor.requires_grad())
      trained.push_back({parameter.name, tensor, std::pow(tune.layer_decay, place.depth), parameter.decay});
  }
  return trained;
}

}  // namespace shelfcast::trainer
