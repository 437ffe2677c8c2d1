// shelfcast export RUN --out bundle: checkpoint -> bundle for shelfcast-score.
#include "trainer/export.h"
#include "base/error.h"
#include "base/log.h"
#include "trainer/commands/commands.h"

namespace shelfcast::trainer {

void run(const ExportCommand& options, parallel::Launch&) {
  if (log::identity().size > 1)
    throw input_error("export runs on one rank", fmt::format("it was started on {}", log::identity().size),
                      "leave mpirun out");
  const TrainedRun trained = open_run(options.run);
  const ExportResult result = export_bundle(trained, options.out);
  log::all("{}: step {} of {}, {} series, dependence between steps from {} unseen windows", options.out,
           trained.step, trained.name(), result.series, result.copula_windows);
}

}  // namespace shelfcast::trainer
