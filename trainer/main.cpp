// The `shelfcast` program: one handler prints errors and stops every rank; everything else is in commands/.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "trainer/commands/command.h"
#include "trainer/environment.h"

namespace {

using namespace shelfcast;

constexpr const char* kAbout =
    "Shelfcast trains and judges one large retail demand model on many GPUs and turns its forecasts into "
    "orders.\n"
    "First steps: shelfcast synth, shelfcast train, shelfcast backtest, shelfcast export, shelfcast-score.";

// Exit codes: 0 done, 1 failed (message on stderr), 2 wrong command line.
int fail(const parallel::Launch& launch, const std::string& message) {
  // The same mistake is usually met by every rank: rank 0 speaks first, and its abort silences the others.
  if (log::identity().rank != 0) std::this_thread::sleep_for(std::chrono::milliseconds(500));
  log::error(message);
  launch.abort_ranks();
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  parallel::Launch launch(&argc, &argv);
  CLI::App app(kAbout, "shelfcast");
  app.set_version_flag("--version", "shelfcast " + trainer::build_id());
  app.require_subcommand(1);
  trainer::Program program{launch, {}};
  for (const auto add :
       {trainer::add_synth, trainer::add_ingest, trainer::add_inspect, trainer::add_train,
        trainer::add_forecast, trainer::add_backtest, trainer::add_export, trainer::add_doctor})
    add(app, program);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  try {
    program.run();
    return 0;
  } catch (const std::exception& error) {
    return fail(launch, error.what());
  }
}
