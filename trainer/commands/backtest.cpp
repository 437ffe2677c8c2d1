// shelfcast backtest MODEL: rolling origins, the model beside its baselines, a report.
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/activity.h"
#include "base/log.h"
#include "base/memory.h"
#include "eval/backtest.h"
#include "eval/report/report.h"
#include "eval/report/training_record.h"
#include "models/blocks.h"
#include "trainer/backtest_metadata.h"
#include "trainer/commands/commands.h"
#include "trainer/device.h"
#include "trainer/ensemble_forecaster.h"
#include "trainer/model_forecaster.h"
#include "trainer/recipe/overrides.h"
#include "trainer/run/run_folder.h"
#include "trainer/run/watched.h"
#include "trainer/series_forecaster.h"
#include "trainer/trained_run.h"
#include "trainer/unseen_words.h"

namespace shelfcast::trainer {
namespace {

// model  MAE  MSE ... n, one line a forecaster.
std::string table(const eval::BacktestResult& result) {
  const std::vector<std::string> metrics = {"mae", "mse", "rmse", "bias", "wape", "mase"};
  std::size_t width = 20;
  for (const eval::ForecasterResult& forecaster : result.forecasters)
    width = std::max(width, forecaster.name.size() + 2);
  std::string text(width, ' ');
  for (const std::string& metric : metrics) text += fmt::format("{:>12}", metric);
  text += fmt::format("{:>12}\n", "n");
  for (const eval::ForecasterResult& forecaster : result.forecasters) {
    text += fmt::format("{:<{}}", forecaster.name, width);
    for (const std::string& metric : metrics) {
      const eval::Score score = forecaster.overall.score(metric);
      // Squares of a revenue fill their column.
      text += score.value ? fmt::format(" {:>11.4f}", *score.value) : fmt::format("{:>12}", "-");
    }
    text += fmt::format("{:>12}\n", forecaster.overall.score("mae").n);
  }
  return text;
}

std::string verdicts(const eval::BacktestResult& result) {
  std::string text;
  for (const eval::Comparison& c : result.comparisons)
    if (c.difference && c.low && c.high)
      text += fmt::format(
          "{} {} on {}: {:+.1f} % (95 % interval {:+.1f} to {:+.1f}, paired bootstrap over {} series{})\n",
          c.verdict == eval::Verdict::unclear ? "no clear difference from"
                                              : fmt::format("{} than", to_string(c.verdict)),
          c.baseline, c.metric, 100 * *c.difference, 100 * *c.low, 100 * *c.high, c.series,
          c.dates ? fmt::format("; p = {:.2g} over {} dates", c.dates->p, c.dates->dates) : "");
  return text;
}

// What is judged, on what, and where the result goes.
struct Judgement {
  const eval::BacktestConfig& config;
  const data::Corpus& corpus;
  const data::FeatureSpec& features;
  eval::Forecaster& forecaster;
  std::int64_t validate_end;  // first step that the model has not seen
  std::filesystem::path folder;
  eval::RunMetadata metadata;
  std::vector<eval::UnfinishedTraining> unfinished;
  std::vector<eval::TrainingRecord> trainings;  // behind a folder that is no run's own
};

void judge(const Judgement& j, const ParallelConfig& parallel, parallel::Communicator& world) {
  run_watched(parallel, world, [&] {
    activity::enter_phase("backtest");
    const auto started = std::chrono::steady_clock::now();
    eval::BacktestResult result = [&] {
      try {
        return eval::run_backtest(j.config, j.corpus.source(), j.features, {&j.forecaster}, j.validate_end,
                                  world);
      } catch (const c10::OutOfMemoryError& error) {
        throw out_of_memory(error, "backtest");
      }
    }();
    if (world.rank() != 0) return;
    result.unfinished = j.unfinished;
    eval::RunMetadata metadata = j.metadata;
    metadata.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    metadata.ranks = world.size();
    metadata.peak_memory_bytes = memory_use().peak_bytes;
    eval::write_backtest(result, j.folder, metadata);
    eval::write_trainings(j.trainings, j.folder);
    eval::write_report({j.folder}, RunFolder(j.folder).report());
    log::all(table(result) + verdicts(result) +
             "report: " + (RunFolder(j.folder).report() / "report.html").string());
  });
}

// The run and those averaged with it, which must forecast the same thing from the same corpus.
std::vector<TrainedRun> open_runs(const BacktestCommand& options) {
  std::vector<TrainedRun> runs;
  runs.push_back(open_run(options.model));
  if (!options.ensemble.empty() && options.out.empty())
    throw input_error("--ensemble needs --out", "the backtest is not that of one run",
                      "name a folder for it: --out runs/ensemble");
  for (const std::string& folder : options.ensemble) {
    runs.push_back(open_run(folder));
    const TrainedRun &first = runs.front(), &other = runs.back();
    const auto differs = [&](const std::string& in) {
      return input_error(fmt::format("{} and {} cannot be averaged", options.model, folder), in + " differs",
                         "average runs of one recipe and other seeds");
    };
    if (data::Corpus(first.recipe.data.source()).digest() !=
        data::Corpus(other.recipe.data.source()).digest())
      throw differs("the corpus");
    if (first.recipe.data.target != other.recipe.data.target) throw differs("data.target");
    const auto difference = nlohmann::json::diff(to_json(first.features), to_json(other.features));
    if (!difference.empty())
      throw differs("what they see of it (" + difference[0].at("path").get<std::string>() + ")");
    if (first.recipe.data.horizon != other.recipe.data.horizon) throw differs("data.horizon");
    if (first.model->config().model.quantiles != other.model->config().model.quantiles)
      throw differs("model.heads.quantiles");
  }
  return runs;
}

// Of these runs, what stopped or was stopped before it had ended.
std::vector<eval::UnfinishedTraining> unfinished_of(const std::vector<TrainedRun>& runs) {
  std::vector<eval::UnfinishedTraining> unfinished;
  for (const TrainedRun& run : runs)
    if (!run.ended) unfinished.push_back({run.name(), run.trained, run.recipe.train.steps});
  return unfinished;
}

// What a report cannot read in the backtest's folder.
std::vector<eval::TrainingRecord> trainings_of(const std::vector<TrainedRun>& runs,
                                               const BacktestCommand& options) {
  std::vector<eval::TrainingRecord> trainings;
  if (options.out.empty()) return trainings;
  for (const TrainedRun& run : runs) {
    std::optional<eval::TrainingRecord> training = eval::read_training(run.folder.path());
    if (!training) continue;
    if (runs.size() > 1) training->name = run.name();
    trainings.push_back(std::move(*training));
  }
  return trainings;
}

void say_unfinished(const std::vector<TrainedRun>& runs) {
  for (const TrainedRun& run : runs)
    if (!run.ended)
      log::warn(
          "the training of {} has not ended: it trained {} of {} steps - what is judged is how far it came; "
          "go on with `shelfcast train {} --resume`",
          run.folder.path().string(), run.trained, run.recipe.train.steps, run.folder.recipe().string());
}

void say_unseen(const data::FeatureSpec& features, const data::Corpus& corpus) {
  for (const UnseenWords& unseen : unseen_words(features, corpus.info()))
    log::all(
        "{}: {} of the corpus' words were not seen in training (the first: \"{}\") - the model reads them "
        "as its bucket for unknown ones",
        unseen.column, unseen.count, unseen.first);
}

void backtest_run(const BacktestCommand& options, parallel::Launch& launch) {
  if (!options.corpus.empty() || !options.known.empty() || !options.past.empty())
    throw input_error("--corpus, --known and --past are for published models",
                      fmt::format("{} is a run: it knows its corpus and its columns", options.model));
  // Overrides shape the backtest and where it runs; what the model was trained on stays what it was.
  require_settable(options.overrides, {"backtest", "parallel"}, "the backtest of a run");
  const std::vector<TrainedRun> runs = open_runs(options);
  const TrainedRun& first = runs.front();
  const Recipe judging = read_recipe(first.folder.recipe(), options.overrides);
  const parallel::World world = parallel::make_world(launch, judging.parallel.world());
  prepare(device_of(world.gpu));
  const data::Corpus corpus(first.recipe.data.source());
  if (world.ranks->rank() == 0) {
    say_unseen(first.features, corpus);
    say_unfinished(runs);
  }
  std::vector<std::unique_ptr<eval::Forecaster>> members;
  for (const TrainedRun& run : runs) {
    models::move_to(device_of(world.gpu), run.model->parameters());
    members.push_back(std::make_unique<ModelForecaster>(
        run.name(), *run.model, run.features,
        read_series_texts(corpus, run.features.text, run.recipe.model, *world.ranks)));
  }
  const eval::RunMetadata metadata = metadata_of(runs, corpus, options, world);
  EnsembleForecaster ensemble(metadata.title, std::move(members));
  // The stored recipes are dated, so the plan need not be made (and its scalers fitted) again.
  judge({judging.backtest, corpus, first.features, ensemble,
         corpus.info().axis.step_at_or_before(*validated_until(runs)),
         options.out.empty() ? first.folder.path() : std::filesystem::path(options.out), metadata,
         unfinished_of(runs), trainings_of(runs, options)},
        judging.parallel, *world.ranks);
}

// The zero-shot row: the model has seen nothing of this corpus, so every origin is honest.
void backtest_published(const BacktestCommand& options, parallel::Launch& launch) {
  if (options.corpus.empty())
    throw input_error(options.model + " is a published model and knows no corpus", "",
                      "name one: --corpus X.corpus");
  require_settable(options.overrides, {"backtest", "parallel", "data.target"},
                   "the backtest of a published model");
  // Its horizon may be any: longer ones are unrolled.
  constexpr std::int64_t kAnyHorizon = 1'000'000;
  Recipe recipe = parse_recipe(fmt::format("data: {{corpus: {}, horizon: {}}}\nrun: {{dir: {}}}\n",
                                           nlohmann::json(options.corpus).dump(), kAnyHorizon, "zero-shot"),
                               "the command line", options.overrides);
  recipe.data.known = options.known;
  recipe.data.past = options.past;
  recipe.data.horizon = recipe.backtest.horizon;
  at::set_num_threads(static_cast<int>(options.threads));
  const parallel::World world = parallel::make_world(launch, recipe.parallel.world());
  prepare(device_of(world.gpu));
  const data::Corpus corpus(recipe.data.source());
  const std::unique_ptr<models::SeriesModel> model = models::open_series_model(options.model);
  models::move_to(device_of(world.gpu), model->parameters());
  const data::FeatureSpec features =
      series_features(*model, data::make_raw_features(recipe.data, corpus), corpus.info().steps);
  const std::string name = name_of(options.model);
  SeriesForecaster forecaster(name, *model, features);
  const std::string out = options.out.empty() ? fmt::format("zero-shot/{}", name) : options.out;
  const eval::RunMetadata metadata = metadata_of(model->architecture(), corpus, options, out, world);
  judge({recipe.backtest, corpus, features, forecaster, 0, out, metadata, {}, {}}, recipe.parallel,
        *world.ranks);
}

}  // namespace

void run(const BacktestCommand& options, parallel::Launch& launch) {
  if (!is_published_model(options.model)) return backtest_run(options, launch);
  if (!options.ensemble.empty())
    throw input_error("--ensemble averages runs", options.model + " is a published model");
  backtest_published(options, launch);
}

}  // namespace shelfcast::trainer
