#include "trainer/trained_run.h"

#include <ATen/Parallel.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/json_file.h"
#include "trainer/run/checkpoint.h"
#include "trainer/text/text_encoder.h"

namespace shelfcast::trainer {

std::string name_of(const std::filesystem::path& folder) {
  return (folder.has_filename() ? folder.filename() : folder.parent_path().filename()).string();
}

bool is_published_model(const std::filesystem::path& folder) {
  if (RunFolder(folder).exists()) return false;
  if (std::filesystem::exists(folder / "config.json")) return true;
  if (!std::filesystem::exists(folder))
    throw input_error(fmt::format("there is no folder {}", folder.string()), "",
                      "name a run folder, e.g. runs/m5, or the folder of a published model");
  throw input_error(fmt::format("{} is not a run folder, nor a published model", folder.string()),
                    "it has neither recipe.yaml nor config.json",
                    "name the folder that `shelfcast train` made, e.g. runs/m5, or one with config.json and "
                    "model.safetensors");
}

std::string TrainedRun::name() const { return name_of(folder.path()); }

TrainedRun open_run(const std::filesystem::path& folder) {
  TrainedRun run{.folder = RunFolder(folder), .recipe = {}, .features = {}, .model = nullptr};
  run.recipe = run.folder.stored_recipe();
  if (run.recipe.train.task != TrainConfig::Task::demand)
    throw input_error(fmt::format("{} trained a text encoder, which forecasts nothing", folder.string()),
                      "train.task is not demand",
                      "name it as model.text in a recipe, or as the model of `shelfcast embed`");
  if (!run.recipe.data.train_until || !run.recipe.data.validate_until) {
    throw data_error(fmt::format("{} does not say until when it trained", run.folder.recipe().string()),
                     "train_until and validate_until are written when a run starts",
                     "restore the file from a checkpoint's recipe.yaml");
  }
  at::set_num_threads(static_cast<int>(run.recipe.train.threads));
  const Checkpoints checkpoints(run.folder.checkpoints());
  const std::int64_t newest = checkpoints.require_newest();
  run.step = checkpoints.best_valid(newest);
  const TrainState state = checkpoints.read_state(newest);
  const TrainConfig& train = run.recipe.train;
  run.trained = state.step;
  run.ended = state.step >= train.steps ||
              (train.early_stop > 0 && state.validations_without_best >= train.early_stop);
  run.features = data::feature_spec_from_json(read_json(run.folder.features(), "damaged file"));
  if (run.recipe.tune.text != TuneConfig::Text::frozen) {
    run.recipe.model.text = (checkpoints.path_of(run.step) / kTextFolder).string();
    run.features.text.encoder = TextEncoder(run.recipe.model).digest();
  }
  run.model = std::make_unique<models::DemandModel>(models::DemandModel::load(checkpoints.path_of(run.step)));
  run.model->merge_adapter();
  return run;
}

}  // namespace shelfcast::trainer
