#include "models/demand_model.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/json_file.h"
#include "models/adapters/adapter.h"
#include "models/adapters/lora.h"
#include "models/closed_steps.h"
#include "models/context.h"
#include "models/heads.h"
#include "models/product.h"
#include "models/series/series_tower.h"
#include "models/weights.h"

namespace shelfcast::models {

namespace {

namespace fs = std::filesystem;

// Tied to shared.weight, or left by the library that saved them: not ours to read.
const std::vector<std::string> kIgnored = {"lm_head.weight", "encoder.embed_tokens.weight",
                                           "decoder.embed_tokens.weight"};

std::string readme(const TowerConfig& tower, bool adapted) {
  const char* name = tower.architecture == Architecture::chronos2 ? "Chronos-2" : "Chronos-Bolt";
  if (adapted)
    return fmt::format(
        "# A Shelfcast demand model with an adapter\n\n"
        "`adapter/` changes the {} model that its adapter_config.json names; Python loads it with\n"
        "`PeftModel.from_pretrained(pipeline.model, \"adapter\")`. `fusion.safetensors` holds statics, "
        "texts, "
        "covariates and the\nmean head, `model.json` says how the parts fit together.\n",
        name);
  if (is_published(tower.architecture))
    return fmt::format(
        "# A Shelfcast demand model\n\n"
        "`tower/` is a {} model in its published form; Python loads it with\n"
        "`BaseChronosPipeline.from_pretrained(\"tower\")`. Loaded alone it leaves out what "
        "`fusion.safetensors` holds: statics,\n"
        "texts, covariates and the mean head. `text/`, if there is one, is a BERT-family encoder in its "
        "published\nform. `model.json` says how the parts fit together.\n",
        name);
  return fmt::format(
      "# A Shelfcast demand model\n\n"
      "`tower/` is a plain {} (docs/model.md, \"Plain towers\"), `fusion.safetensors` holds statics, texts, "
      "covariates and\nthe heads, `model.json` says how the parts fit together.\n",
      name_of(tower.architecture));
}

constexpr const char* kTower = "tower.";

std::vector<Parameter> outside_tower(const std::vector<Parameter>& parameters) {
  std::vector<Parameter> others;
  for (const Parameter& parameter : parameters)
    if (!parameter.name.starts_with(kTower)) others.push_back(parameter);
  return others;
}

// The tower of a model whose folder holds an adapter alone.
void load_base(const std::string& weights, const std::vector<Parameter>& parameters, const fs::path& folder) {
  if (!fs::exists(weights))
    throw input_error(fmt::format("{} is an adapter of {}, which is not there", folder.string(), weights),
                      "an adapter is stored without its base model", "put the base model back where it was");
  load_weights(weights, kTower, parameters, kIgnored);
}

void require_steps(const at::Tensor& tensor, std::int64_t columns, std::int64_t steps, const char* what) {
  if (columns == 0) return;
  if (!tensor.defined() || tensor.dim() != 3 || tensor.size(1) != columns || tensor.size(2) != steps) {
    throw Error(ErrorKind::internal, fmt::format("{} of a batch do not fit the model", what),
                fmt::format("it needs {} columns of {} steps", columns, steps));
  }
}

void check(const ModelInputs& inputs, const DemandModelConfig& config) {
  SHELFCAST_ASSERT(inputs.context_bt.dim() == 2 && inputs.context_bt.size(1) > 0);
  const std::int64_t steps = inputs.context_bt.size(1);
  const auto count = [](const auto& cardinalities) {
    return static_cast<std::int64_t>(cardinalities.size());
  };
  require_steps(inputs.past_bnt, config.past_numeric, steps, "past columns");
  require_steps(inputs.past_codes_bct, count(config.past_cardinalities), steps, "past categories");
  require_steps(inputs.known_bnu, config.known_numeric, steps + config.horizon, "known columns");
  require_steps(inputs.known_codes_bcu, count(config.known_cardinalities), steps + config.horizon,
                "known categories");
  const at::Tensor& held = inputs.inventory_bt;
  if (config.model.inventory && (!held.defined() || held.sizes() != inputs.context_bt.sizes()))
    throw Error(ErrorKind::internal, "stock on hand of a batch does not fit the model",
                "it needs as many steps as there are of demand");
  const at::Tensor& numbers = inputs.static_numbers_bn;
  if (config.static_numbers > 0 &&
      (!numbers.defined() || numbers.dim() != 2 || numbers.size(0) != inputs.context_bt.size(0) ||
       numbers.size(1) != 2 * config.static_numbers))
    throw Error(ErrorKind::internal, "static numbers of a batch do not fit the model",
                fmt::format("it needs {} for each window", 2 * config.static_numbers));
  if (config.text_width > 0 &&
      (!inputs.text_bw.defined() || inputs.text_bw.dim() != 2 ||
       inputs.text_bw.size(0) != inputs.context_bt.size(0) || inputs.text_bw.size(1) != config.text_width))
    throw Error(ErrorKind::internal, "texts of a batch do not fit the model",
                fmt::format("it needs a vector of {} for each window", config.text_width));
}

// Squared error of the log level against a history's mean, 0 without a history.
at::Tensor level_loss(const at::Tensor& level_b, const Normalised& demand) {
  constexpr double kLeast = 0.1;  // units/step: slower than this is all the same
  const at::Tensor history_b = demand.loc_b.clamp_min(kLeast).log();
  return (level_b - history_b).square() * demand.observed_bt.any(1).to(level_b.scalar_type());
}

}  // namespace

struct DemandModel::Impl {
  Impl(DemandModelConfig config_, std::uint64_t seed, ParameterMaker::Fill fill)
      : config(std::move(config_)),
        start(config.model.weights.empty() ? Start::from_scratch : Start::at_pretrained) {
    // In forward order: what gradients reach last comes first.
    ParameterMaker maker(seed, fill);
    context = std::make_unique<Context>(config, start, maker);
    take(maker);
    ParameterMaker tower_maker(seed, start == Start::at_pretrained ? ParameterMaker::Fill::leave : fill);
    tower = make_tower(config.tower, kTower, tower_maker);
    take(tower_maker);
    heads = std::make_unique<Heads>(config, start, maker);
    take(maker);
  }

  void take(ParameterMaker& maker) {
    for (Parameter& parameter : maker.take()) parameters.push_back(std::move(parameter));
  }

  DemandModelConfig config;
  Start start;
  std::unique_ptr<SeriesTower> tower;
  std::unique_ptr<Context> context;
  std::unique_ptr<Heads> heads;
  std::vector<Parameter> parameters;
  std::optional<AdapterConfig> adapter;
  std::string digest;  // of the tower's weights, with an adapter
};

DemandModel::DemandModel(DemandModelConfig config, std::uint64_t seed) {
  config.validate();
  impl_ = std::make_unique<Impl>(std::move(config), seed, ParameterMaker::Fill::draw);
  const std::string& weights = impl_->config.model.weights;
  if (!weights.empty()) load_weights(weights, "tower.", impl_->parameters, kIgnored);
}

DemandModel::DemandModel(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DemandModel::~DemandModel() = default;
DemandModel::DemandModel(DemandModel&&) noexcept = default;

const DemandModelConfig& DemandModel::config() const { return impl_->config; }
const std::vector<Parameter>& DemandModel::parameters() const { return impl_->parameters; }

at::Device DemandModel::device() const { return impl_->parameters.front().tensor.device(); }

Forecast DemandModel::forward(const ModelInputs& batch, const DropoutKeys* keys, TokenChange* change) const {
  const DemandModelConfig& config = impl_->config;
  check(batch, config);
  const Context& context = *impl_->context;
  ModelInputs inputs = context.cut(batch.to(device()));
  const std::int64_t steps = inputs.context_bt.size(1);
  at::Tensor closed_bt, closed_bh, closures_b2h;
  if (const at::Tensor closed_bu = closed_steps(inputs, config); closed_bu.defined()) {
    closed_bt = closed_bu.narrow(1, 0, steps);
    closed_bh = closed_bu.narrow(1, steps, config.horizon);
    inputs.context_bt = inputs.context_bt.masked_fill(closed_bt, std::numeric_limits<float>::quiet_NaN());
    if (config.model.closures) closures_b2h = closures(closed_bu).narrow(2, steps, config.horizon);
  }
  const Dropout dropout(keys, config.model.dropout);
  const Dropout adapter_dropout(keys, impl_->adapter ? dropout_of(*impl_->adapter) : 0.0);
  const AdapterDropoutScope adapter_scope(adapter_dropout);
  const at::Tensor level_b = context.level(inputs);
  // It is learned from histories alone: the loss of a window would be least with the largest scale.
  const Normalised demand = normalise(inputs.context_bt, config.model.scale_floor,
                                      level_b.defined() ? level_b.detach().exp() : level_b);
  const at::Tensor known_bxu = context.known_columns(inputs);
  const at::Tensor shift_b2d = context.shift(inputs);
  const std::int64_t windows = inputs.context_bt.size(0), width = config.tower.d_model;
  TowerInputs tower_inputs = context.tower_inputs(inputs, demand, known_bxu, shift_b2d);
  tower_inputs.change = change;
  at::Tensor context_states;
  if (config.model.masked && keys != nullptr) tower_inputs.context_states = &context_states;
  at::Tensor states = impl_->tower->states(tower_inputs, dropout);
  if (shift_b2d.defined())
    states = (states.view({windows, -1, width}) + shift_b2d.narrow(1, width, width).unsqueeze(1))
                 .view({-1, width});
  const at::Tensor known_bxh = known_bxu.defined()
                                   ? known_bxu.narrow(2, known_bxu.size(2) - config.horizon, config.horizon)
                                   : known_bxu;
  auto result = (*impl_->heads)(states, impl_->tower->quantiles(states, windows, dropout), known_bxh,
                                closed_bh, closures_b2h, demand);
  Forecast forecast{result.quantiles_bqh, result.mean_bh, demand.loc_b, demand.scale_b};
  forecast.positive_means = config.model.positive_means();
  forecast.dispersion_bh = result.dispersion_bh;
  forecast.zeros_bh = result.zeros_bh;
  forecast.cumulated_bqh = result.cumulated_bqh;
  forecast.class_logits_bch = result.class_logits_bch;
  if (context_states.defined()) forecast.masked_bt = impl_->heads->hidden_steps(context_states, steps);
  if (config.model.inventory) {
    forecast.inventory = inventory_norm(inputs.inventory_bt, demand.scale_b);
    forecast.inventory_bh = forecast.inventory.last_b.unsqueeze(1) + result.inventory_bh;
  }
  if (config.model.written == ModelConfig::WrittenQuantiles::counts)
    forecast.count_levels = config.model.quantiles;
  forecast.closed_bt = closed_bt;
  forecast.closed_bh = closed_bh;
  forecast.arcsinh = config.tower.use_arcsinh;
  // For training alone: a validation's loss stays that of its forecasts.
  if (level_b.defined() && at::GradMode::is_enabled()) forecast.level_loss_b = level_loss(level_b, demand);
  return forecast;
}

void DemandModel::save(const fs::path& folder) const { save(folder, impl_->parameters); }

void DemandModel::save(const fs::path& folder, const std::vector<Parameter>& values) const {
  SHELFCAST_ASSERT(values.size() == impl_->parameters.size());
  const DemandModelConfig& config = impl_->config;
  if (impl_->adapter) {
    save_adapter(folder / "adapter", values, kTower, *impl_->adapter, config.model.weights, impl_->digest);
  } else {
    std::error_code failed;
    fs::create_directories(folder / "tower", failed);
    if (failed) throw io_error("cannot make " + (folder / "tower").string(), failed.value());
    const bool published = is_published(config.tower.architecture);
    const nlohmann::json described = published ? to_published_json(config.tower) : to_json(config.tower);
    write_file_atomically(folder / "tower" / "config.json", described.dump(2) + "\n");
    save_weights(folder / "tower" / "model.safetensors", kTower, values);
  }
  save_weights(folder / "fusion.safetensors", "", outside_tower(values));
  write_file_atomically(folder / "model.json", to_json(config).dump(2) + "\n");
  write_file_atomically(folder / "README.md", readme(config.tower, impl_->adapter.has_value()));
}

DemandModel DemandModel::load(const fs::path& folder) {
  const auto path = folder / "model.json";
  const nlohmann::json json = read_json(path);
  auto impl = std::make_unique<Impl>(demand_model_config_from_json(json), 0, ParameterMaker::Fill::leave);
  const bool adapted = fs::exists(folder / "adapter");
  if (adapted) {
    load_base(impl->config.model.weights, impl->parameters, folder);
  } else {
    load_weights(folder / "tower" / "model.safetensors", kTower, impl->parameters, kIgnored);
  }
  load_weights(folder / "fusion.safetensors", "", outside_tower(impl->parameters));
  DemandModel model(std::move(impl));
  if (adapted) model.add_adapter(folder / "adapter");
  return model;
}

void DemandModel::add_adapter(const AdapterConfig& config, std::uint64_t seed) {
  SHELFCAST_ASSERT(!impl_->adapter);
  const std::string& weights = impl_->config.model.weights;
  if (weights.empty())
    throw input_error(
        "an adapter needs a pretrained model", "model.weights is empty",
        "set it to a published Chronos-Bolt or Chronos-2 directory, or train with tune.method=all");
  ParameterMaker maker(seed, ParameterMaker::Fill::draw);
  impl_->parameters = attach_adapter(impl_->parameters, kTower, config, maker);
  impl_->adapter = config;
  impl_->digest = base_digest(weights);
}

void DemandModel::add_adapter(const fs::path& folder) {
  add_adapter(read_adapter_config(folder), 0);
  load_adapter(folder, impl_->parameters, kTower, *impl_->adapter, impl_->digest);
}

void DemandModel::check_adapter(const DemandModelConfig& config, const AdapterConfig& adapter) {
  ParameterMaker maker(0, ParameterMaker::Fill::leave);
  (void)make_tower(config.tower, kTower, maker);
  const std::vector<Parameter> parameters = maker.take();
  attach_adapter(parameters, kTower, adapter, maker);
}

const AdapterConfig* DemandModel::adapter() const { return impl_->adapter ? &*impl_->adapter : nullptr; }

void DemandModel::merge_adapter() {
  if (!impl_->adapter || !can_be_merged(*impl_->adapter)) return;
  impl_->parameters = merge_lora(impl_->parameters);
  impl_->adapter.reset();
}

}  // namespace shelfcast::models
