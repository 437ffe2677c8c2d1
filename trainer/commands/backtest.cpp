// shelfcast backtest RUN: rolling origins, the model beside its baselines, a report.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/activity.h"
#include "base/log.h"
#include "eval/backtest.h"
#include "trainer/commands/commands.h"
#include "trainer/environment.h"
#include "trainer/model_forecaster.h"
#include "trainer/trained_run.h"
#include "trainer/watched.h"

namespace shelfcast::trainer {
namespace {

// model  MAE  MSE ... n, one line a forecaster.
std::string table(const eval::BacktestResult& result) {
  const std::vector<std::string> metrics = {"mae", "mse", "rmse", "bias", "wape", "mase"};
  std::string text = fmt::format("{:<20}", "");
  for (const std::string& metric : metrics) text += fmt::format("{:>12}", metric);
  text += fmt::format("{:>12}\n", "n");
  for (const eval::ForecasterResult& forecaster : result.forecasters) {
    text += fmt::format("{:<20}", forecaster.name);
    for (const std::string& metric : metrics) {
      const eval::Score score = forecaster.overall.score(metric);
      text += score.value ? fmt::format("{:>12.4f}", *score.value) : fmt::format("{:>12}", "-");
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
          "{} than {} on {}: {:+.1f} % (95 % interval {:+.1f} to {:+.1f}, paired bootstrap over {} series)\n",
          to_string(c.verdict), c.baseline, c.metric, 100 * *c.difference, 100 * *c.low, 100 * *c.high,
          c.series);
  return text;
}

eval::ReportMetadata metadata_of(const TrainedRun& run, const data::Corpus& corpus) {
  eval::ReportMetadata metadata;
  metadata.title = run.name();
  metadata.facts = {
      {"model", fmt::format("{}, checkpoint of step {}", run.recipe.model.tower, run.step)},
      {"corpus", fmt::format("{} ({})", corpus.info().name, corpus.digest())},
      {"trained until", run.recipe.data.train_until ? format_date(*run.recipe.data.train_until) : ""},
      {"validated until", run.recipe.data.validate_until ? format_date(*run.recipe.data.validate_until) : ""},
      {"seed", std::to_string(run.recipe.run.seed)},
      {"build", build_id()}};
  return metadata;
}

}  // namespace

void run(const BacktestCommand& options, parallel::Launch& launch) {
  TrainedRun trained = open_run(options.run);
  // Overrides shape the backtest; what the model was trained on stays what it was.
  const eval::BacktestConfig config = read_recipe(trained.folder.recipe(), options.overrides).backtest;
  const ParallelConfig& parallel = trained.recipe.parallel;
  const auto world = launch.world(parallel::parse_backend(parallel.backend),
                                  {parallel.start_deadline, parallel.step_deadline});
  const data::Corpus corpus(trained.recipe.data.corpus);
  // The stored recipe is dated, so the plan need not be made (and its scalers fitted) again.
  const std::int64_t validate_end = corpus.info().axis.step_at_or_before(*trained.recipe.data.validate_until);
  ModelForecaster forecaster(trained.name(), *trained.model, trained.features);
  run_watched(parallel, *world, [&] {
    activity::enter_phase("backtest");
    const eval::BacktestResult result =
        eval::run_backtest(config, corpus.folder(), trained.features, {&forecaster}, validate_end, *world);
    if (world->rank() != 0) return;
    eval::write_backtest(result, trained.folder.path(), metadata_of(trained, corpus));
    log::all(table(result) + verdicts(result) +
             "report: " + (trained.folder.backtest() / "report.html").string());
  });
}

}  // namespace shelfcast::trainer
