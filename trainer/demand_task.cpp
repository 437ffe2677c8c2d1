#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/json_file.h"
#include "base/random.h"
#include "data/loader.h"
#include "models/product.h"
#include "models/recompute.h"
#include "trainer/augment.h"
#include "trainer/bad_step.h"
#include "trainer/masked_patches.h"
#include "trainer/model_inputs.h"
#include "trainer/new_items.h"
#include "trainer/plan.h"
#include "trainer/run/checkpoint.h"
#include "trainer/task.h"
#include "trainer/text/series_texts.h"
#include "trainer/text/text_encoder.h"
#include "trainer/tune.h"
#include "trainer/validation.h"
#include "trainer/warm_start.h"

namespace shelfcast::trainer {
namespace {

namespace fs = std::filesystem;

// Of what the run that this one begins with was trained on.
std::vector<data::Window> windows_of_start(const Recipe& recipe, const data::CorpusInfo& info) {
  const data::DataConfig then = RunFolder(recipe.run.start).stored_recipe().data;
  const std::int64_t end = info.axis.step_at_or_before(*then.train_until);
  return choose_windows(mix(static_cast<std::uint64_t>(recipe.run.seed), key_of("ewc")), info.series,
                        then.min_context, end, recipe.data.horizon, recipe.train.ewc.windows);
}

// The demand model on windows of a corpus.
class DemandTask : public Task {
 public:
  DemandTask(const Recipe& recipe, const DataPlan& plan, const data::Corpus& corpus, const TaskStart& start);

  std::vector<parallel::FlatParameter> trained() const override;
  std::unique_ptr<models::RankAllocator> rank_allocator() const override;
  void save(const fs::path& checkpoint, CopiedValues& values) const override {
    save_demand_model(checkpoint, model_, text_.get(), values);
  }
  void describe(const RunFolder& folder) const override {
    write_file_atomically(folder.features(), data::to_json(plan_.features).dump(2) + "\n");
  }
  bool begins_trained() const override {
    return !recipe_.model.weights.empty() || !recipe_.run.start.empty();
  }
  std::int64_t steps_per_epoch() const override {
    return data::Loader::steps_per_epoch(sampler_, recipe_.train.batch);
  }
  std::int64_t micro_batches() const override { return loader_.micro_batches(); }
  WeightedLoss forward_and_backward(std::int64_t step, std::int64_t micro_batch,
                                    const BeforeBackward& before_backward) override;
  std::int64_t anchor_samples() const override { return static_cast<std::int64_t>(anchor_windows_.size()); }
  WeightedLoss anchor_gradient(std::int64_t sample) override;
  double waited_seconds() const override { return loader_.waited_seconds(); }
  bool validates() const override { return !validation_.empty(); }
  std::optional<double> validation_loss(const std::function<bool()>& stop_requested,
                                        parallel::Communicator& communicator) override {
    return validation_.loss(model_, stop_requested, communicator);
  }
  std::string report_bad_step(const BadStep& bad, MetricsLog* log,
                              parallel::Communicator& communicator) const override {
    return trainer::report_bad_step(bad, sample_losses(bad.step - 1), data::Corpus(recipe_.data.source()),
                                    log, communicator);
  }

 private:
  models::Targets change(data::Batch& batch, const data::Batch& partners, std::int64_t step,
                         std::vector<float>& hidden_bt) const;
  std::vector<SampleLoss> sample_losses(std::int64_t step) const;
  std::uint64_t seed() const { return static_cast<std::uint64_t>(recipe_.run.seed); }
  models::LossSums graphed(const MicroBatch& batch) const;
  models::DemandModel make_model(const fs::path& checkpoint) const;
  std::shared_ptr<const TrainedText> make_text(const fs::path& checkpoint) const;
  data::LoaderConfig loader_config(const TaskStart& start) const;

  Recipe recipe_;
  DataPlan plan_;
  models::DemandModel model_;
  std::shared_ptr<const TrainedText> text_;  // null = no text, or a frozen encoder
  SeriesTexts texts_;
  Augment augment_;
  NewItems new_items_;
  std::optional<MaskedPatches> masked_;
  std::vector<float> hidden_bt_;  // of the batch at hand
  Validation validation_;
  data::Sampler sampler_;
  data::LoaderConfig loader_config_;
  data::Loader loader_;
  std::optional<MicroBatchGraph> graph_;
  std::vector<data::Window> anchor_windows_;
  std::unique_ptr<data::EvaluationReader> anchors_;  // made when the first is asked for
};

DemandTask::DemandTask(const Recipe& recipe, const DataPlan& plan, const data::Corpus& corpus,
                       const TaskStart& start)
    : recipe_(recipe),
      plan_(plan),
      model_(make_model(start.checkpoint)),
      text_(make_text(start.checkpoint)),
      texts_(text_ ? live_series_texts(corpus, text_, recipe.model, recipe.train.augment)
                   : read_series_texts(corpus, plan_.features.text, recipe.model, start.communicator)),
      augment_(recipe.train.augment, seed(), plan_.features),
      new_items_(recipe.train.new_items, seed(), plan_.features, corpus.info().item_level),
      validation_(recipe.data.source(), plan_, texts_, recipe.backtest.batch),
      sampler_(seed(), plan_.train_space),
      loader_config_(loader_config(start)),
      loader_(recipe.data.source(), plan_.features, sampler_, loader_config_) {
  if (recipe.train.masked > 0) {
    const models::TowerConfig& tower = model_.config().tower;
    masked_.emplace(recipe.train.masked, seed(), plan_.features.context, tower.context_length,
                    tower.input_patch_size);
  }
  models::move_to(start.device, model_.parameters());
  if (text_) models::move_to(start.device, text_->parameters());
  if (start.make_graph)
    graph_.emplace(start.make_graph(), start.device,
                   [this](const MicroBatch& batch) { return graphed(batch); });
  if (recipe_.train.ewc.strength > 0 && start.checkpoint.empty())
    anchor_windows_ = windows_of_start(recipe_, corpus.info());
}

models::DemandModel DemandTask::make_model(const fs::path& checkpoint) const {
  if (!checkpoint.empty()) return models::DemandModel::load(checkpoint);
  models::DemandModel model = trainer::make_model(recipe_, plan_.features);
  if (!recipe_.run.start.empty()) start_from(recipe_.run.start, model, plan_.features);
  return model;
}

std::shared_ptr<const TrainedText> DemandTask::make_text(const fs::path& checkpoint) const {
  if (recipe_.tune.text == TuneConfig::Text::frozen) return nullptr;
  const models::BertParts parts = demand_text_parts(recipe_.model);
  if (!checkpoint.empty())
    return std::make_shared<const TrainedText>(checkpoint / kTextFolder, recipe_.model, parts);
  if (!recipe_.run.start.empty()) {
    // What was trained with that run's model goes on with it.
    const Recipe before = RunFolder(recipe_.run.start).stored_recipe();
    if (before.tune.text != TuneConfig::Text::frozen)
      return std::make_shared<const TrainedText>(text_model_folder(recipe_.run.start), recipe_.model, parts);
  }
  return std::make_shared<const TrainedText>(text_model_folder(recipe_.model.text), recipe_.model, parts,
                                             recipe_.model.text_start, seed());
}

data::LoaderConfig DemandTask::loader_config(const TaskStart& start) const {
  return {.global_batch = recipe_.train.batch,
          .micro_batch = recipe_.train.micro_batch,
          .rank = start.communicator.rank(),
          .ranks = start.communicator.size(),
          .first_step = start.step,
          .last_step = recipe_.train.steps,
          .partner_key = recipe_.train.augment.mixes() ? std::optional(partner_key(seed())) : std::nullopt};
}

// What gradients reach last comes first.
std::vector<parallel::FlatParameter> DemandTask::trained() const {
  std::vector<parallel::FlatParameter> all;
  if (text_) all = trained_parameters(*text_, recipe_.tune);
  for (parallel::FlatParameter& parameter : trained_parameters(model_, recipe_.tune))
    all.push_back(std::move(parameter));
  return all;
}

std::unique_ptr<models::RankAllocator> DemandTask::rank_allocator() const {
  if (recipe_.tune.method != "adalora") return nullptr;
  auto config = std::get<models::LoraConfig>(*model_.adapter());
  config.budget = recipe_.tune.budget;
  return std::make_unique<models::RankAllocator>(model_.parameters(), config);
}

// What training makes of a batch; its targets, which are views of it and of `hidden_bt`.
models::Targets DemandTask::change(data::Batch& batch, const data::Batch& partners, std::int64_t step,
                                   std::vector<float>& hidden_bt) const {
  // Classes are no views: a window at another scale has those of its series' own.
  models::Targets targets = make_targets(batch, plan_.features, plan_.classes);
  augment_.change(batch, step, partners);
  new_items_.show(batch);
  if (masked_) {
    masked_->hide(batch, step, hidden_bt);
    targets.hidden_bt = at::from_blob(hidden_bt.data(), {batch.windows, plan_.features.context}, at::kFloat);
  }
  return targets;
}

// Of this rank's samples of that step, read once more, each by itself with what was changed and dropped in
// it.
std::vector<SampleLoss> DemandTask::sample_losses(std::int64_t step) const {
  const at::NoGradGuard no_grad;
  data::LoaderConfig config = loader_config_;
  config.first_step = step;
  config.last_step = step + 1;
  data::Loader again(recipe_.data.source(), plan_.features, sampler_, config);
  std::vector<SampleLoss> losses;
  std::vector<float> hidden_bt;
  for (std::int64_t micro = 0; micro < again.micro_batches(); ++micro) {
    auto& batch = const_cast<data::Batch&>(again.next());
    const models::Targets targets = change(batch, again.partners(), step, hidden_bt);
    const models::DropoutKeys keys{seed(), step, batch.sample_b};
    const models::ModelInputs inputs = make_inputs(batch, plan_.features, texts_, &keys);
    for (std::int64_t row = 0; row < batch.windows; ++row) {
      const auto at = static_cast<std::size_t>(row);
      if (batch.window_b[at].series < 0) continue;  // padding
      const models::DropoutKeys key{seed(), step, {batch.sample_b[at]}};
      const models::LossSums sums = models::loss_sums(model_.forward(window_of(inputs, row), &key),
                                                      window_of(targets, row), model_.config());
      losses.push_back(
          {batch.window_b[at], sums.loss.item<double>() / std::max(1.0, sums.valid_targets.item<double>())});
    }
  }
  return losses;
}

WeightedLoss DemandTask::forward_and_backward(std::int64_t step, std::int64_t /*micro_batch*/,
                                              const BeforeBackward& before_backward) {
  // The loader makes every batch anew, so it may be changed here.
  auto& batch = const_cast<data::Batch&>(loader_.next());
  const models::Targets targets = change(batch, loader_.partners(), step, hidden_bt_);
  const models::DropoutKeys keys{seed(), step, batch.sample_b};
  if (graph_ && !before_backward) {
    const models::LossSums sums =
        graph_->run({make_inputs(batch, plan_.features, texts_, &keys), targets, keys});
    return {sums.loss.detach(), sums.valid_targets};
  }
  const models::PrecisionScope precision(models::precision_from(recipe_.train.precision));
  const models::RecomputeScope recompute(recipe_.train.activation_checkpointing);
  const models::LossSums sums = adversarial_backward(
      recipe_.train.adversarial,
      [&](models::TokenChange* change) {
        const models::Forecast forecast =
            model_.forward(make_inputs(batch, plan_.features, texts_, &keys), &keys, change);
        return models::loss_sums(forecast, targets, model_.config());
      },
      before_backward);
  return {sums.loss.detach(), sums.valid_targets};
}

// Forward and backward of what is on the device.
models::LossSums DemandTask::graphed(const MicroBatch& batch) const {
  const models::PrecisionScope precision(models::precision_from(recipe_.train.precision));
  const models::RecomputeScope recompute(recipe_.train.activation_checkpointing);
  models::LossSums sums =
      models::loss_sums(model_.forward(batch.inputs, &batch.keys), batch.targets, model_.config());
  sums.loss.backward();
  return sums;
}

WeightedLoss DemandTask::anchor_gradient(std::int64_t sample) {
  if (!anchors_)
    anchors_ =
        std::make_unique<data::EvaluationReader>(recipe_.data.source(), plan_.features, anchor_windows_, 1);
  data::Batch batch;
  anchors_->read(sample, batch);
  const models::Forecast forecast =
      model_.forward(make_inputs(batch, plan_.features, texts_, nullptr), nullptr);
  const models::LossSums sums =
      models::loss_sums(forecast, make_targets(batch, plan_.features, plan_.classes), model_.config());
  sums.loss.backward();
  return {sums.loss.detach(), sums.valid_targets};
}

// A run goes on with the texts' vectors it began with.
void check_encoder(const RunFolder& folder, const data::TextColumn& now) {
  if (!fs::exists(folder.features())) return;
  const auto then = data::feature_spec_from_json(read_json(folder.features(), "damaged file"));
  if (then.text.encoder != now.encoder)
    throw data_error(
        fmt::format("the text encoder is not the one that {} was started with", folder.path().string()),
        "the files in model.text have changed", "put the directory back as it was, or start a new run");
}

}  // namespace

PlannedTask plan_demand_task(const Recipe& recipe, const data::Corpus& corpus, int ranks) {
  const DataPlan plan = make_plan(recipe, corpus);
  check_ranks(recipe, plan, ranks);
  const Recipe dated = with_dates(with_adapter(recipe), plan, corpus);
  check_tuning(dated, plan.features);
  if (!dated.run.start.empty() && !RunFolder(dated.run.dir).exists()) check_start(dated, plan.features);
  return {.recipe = dated,
          .facts = {{"text encoder", plan.features.text.encoder}},
          .check_resumed = [plan](const RunFolder& folder) { check_encoder(folder, plan.features.text); },
          .start = [dated, plan, &corpus](const TaskStart& start) -> std::unique_ptr<Task> {
            return std::make_unique<DemandTask>(dated, plan, corpus, start);
          }};
}

}  // namespace shelfcast::trainer
