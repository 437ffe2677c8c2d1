// shelfcast train RECIPE: shard, train, validate, checkpoint, resume.
#include <cstdio>

#include "base/log.h"
#include "base/progress.h"
#include "trainer/commands/command.h"
#include "trainer/recipe.h"
#include "trainer/trainer.h"

namespace shelfcast::trainer {
namespace {

struct Options {
  std::string recipe;
  std::vector<std::string> overrides;
  std::string resume;
  std::int64_t stop_after = 0;
  bool print_recipe = false;
};

Resume parse_resume(const CLI::App& command, const Options& options) {
  if (command.count("--resume") == 0) return Resume::never;
  return options.resume == "auto" ? Resume::automatic : Resume::required;
}

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

void run(const Options& options, Resume resume, parallel::Launch& launch) {
  const Recipe recipe = read_recipe(options.recipe, options.overrides);
  if (options.print_recipe) {
    if (log::identity().rank == 0) std::fputs(to_yaml(recipe).c_str(), stdout);
    return;
  }
  const auto world = launch.world(parallel::parse_backend(recipe.parallel.backend),
                                  {recipe.parallel.start_deadline, recipe.parallel.step_deadline});
  TrainOptions train_options{.resume = resume, .stop_after = {}};
  if (options.stop_after > 0) train_options.stop_after = options.stop_after;
  log::all(describe(train(recipe, train_options, *world), recipe));
}

}  // namespace

void add_train(CLI::App& app, Program& program) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "train", "Train a demand model as a recipe says (under mpirun or srun: on all ranks)");
  command->add_option("recipe", options->recipe, "Recipe file (YAML)")->required();
  command->add_option("--set", options->overrides, "Override a key: --set train.steps=100 (may be repeated)")
      ->allow_extra_args(false);
  command
      ->add_option("--resume", options->resume,
                   "Go on with the run; `--resume auto` starts when there is none")
      ->expected(0, 1)
      ->check(CLI::IsMember({"auto"}));
  command
      ->add_option("--stop-after", options->stop_after, "Save and leave after this step, as a signal would")
      ->check(CLI::PositiveNumber);
  command->add_flag("--print-recipe", options->print_recipe, "Print the resolved recipe and leave");
  command->callback([options, command, &program] {
    const Resume resume = parse_resume(*command, *options);
    program.run = [options, resume, &program] { run(*options, resume, program.launch); };
  });
}

}  // namespace shelfcast::trainer
