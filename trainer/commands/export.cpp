// shelfcast export RUN --out bundle: checkpoint -> bundle for shelfcast-score.
#include "trainer/export.h"
#include "base/error.h"
#include "base/log.h"
#include "trainer/commands/command.h"

namespace shelfcast::trainer {
namespace {

struct Options {
  std::string run, out;
};

void run(const Options& options) {
  if (log::identity().size > 1)
    throw input_error("export runs on one rank", fmt::format("it was started on {}", log::identity().size),
                      "leave mpirun out");
  const TrainedRun trained = open_run(options.run);
  const ExportResult result = export_bundle(trained, options.out);
  log::all("{}: step {} of {}, {} series, dependence between steps from {} unseen windows", options.out,
           trained.step, trained.name(), result.series, result.copula_windows);
}

}  // namespace

void add_export(CLI::App& app, Program& program) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("export", "Write a run's best model as a bundle for shelfcast-score");
  command->add_option("run", options->run, "Run folder")->required();
  command->add_option("--out", options->out, "Bundle folder to write")->required();
  command->callback([options, &program] { program.run = [options] { run(*options); }; });
}

}  // namespace shelfcast::trainer
