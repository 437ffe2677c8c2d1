// shelfcast train RECIPE: shard, train, validate, checkpoint, resume.
#include <cstdio>

#include "base/log.h"
#include "base/progress.h"
#include "trainer/commands/commands.h"
#include "trainer/cost_model.h"
#include "trainer/recipe/recipe.h"
#include "trainer/requirements.h"
#include "trainer/run/watched.h"
#include "trainer/trainer.h"

namespace shelfcast::trainer {
namespace {

std::string describe(const TrainResult& result, const Recipe& recipe) {
  const char* how = result.ending == Ending::finished        ? "trained"
                    : result.ending == Ending::stopped_early ? "stopped early (no better validation)"
                    : result.ending == Ending::signalled     ? "stopped by a signal, saved"
                                                             : "stopped as asked, saved";
  std::string text = fmt::format("{} at step {} of {} in {}", how, result.step, recipe.train.steps,
                                 format_duration(result.seconds));
  if (result.best_step >= 0)
    text += fmt::format("; best validation loss {:.4f} at step {}", result.best_metric, result.best_step);
  return text + fmt::format("\nrun folder: {}", recipe.run.dir);
}

void check(const Recipe& recipe, const CostAssumptions& assumed, int ranks) {
  const Requirements needs =
      estimate_requirements(recipe, ranks, assumed, parallel::open_device(recipe.parallel.world()));
  log::all(describe(needs, recipe) + "\n" + describe_cost(cost_inputs(needs, recipe), assumed, ranks));
}

}  // namespace

void run(const TrainCommand& options, parallel::Launch& launch) {
  const Recipe recipe = read_recipe(options.recipe, options.overrides);
  if (options.print_recipe) {
    if (log::identity().rank == 0) std::fputs(to_yaml(recipe).c_str(), stdout);
    return;
  }
  if (!options.print.empty()) {
    if (log::identity().rank == 0) std::puts(value_of(recipe, options.print).c_str());
    return;
  }
  if (options.check) {
    const int ranks = options.ranks > 0 ? static_cast<int>(options.ranks) : log::identity().size;
    CostAssumptions assumed;
    for (const std::string& assumption : options.assumptions) assumed.set(assumption);
    // Nothing is shared, so one rank answers for all.
    if (log::identity().rank == 0) check(recipe, assumed, ranks);
    return;
  }
  const parallel::World world = parallel::make_world(launch, recipe.parallel.world());
  TrainOptions train_options{
      .resume = options.resume, .stop_after = {}, .gpu = world.gpu, .device_name = world.device_name};
  if (options.stop_after > 0) train_options.stop_after = options.stop_after;
  run_watched(recipe.parallel, *world.ranks,
              [&] { log::all(describe(train(recipe, train_options, *world.ranks), recipe)); });
}

}  // namespace shelfcast::trainer
