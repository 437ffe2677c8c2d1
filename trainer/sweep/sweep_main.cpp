// `shelfcast sweep`: a program of its own without LibTorch, because hundreds of tasks and impatient people
// start it.

#include <cstdio>
#include <filesystem>

#include "base/log.h"
#include "trainer/run_program.h"
#include "trainer/sweep/ledger.h"
#include "trainer/sweep/local.h"
#include "trainer/sweep/share.h"
#include "trainer/sweep/submit.h"
#include "trainer/sweep/table.h"

namespace {

using namespace shelfcast;
using namespace shelfcast::trainer;

// A sweep file, or the folder of a sweep that was started.
SweepPlan plan_of(const std::string& what) {
  return std::filesystem::is_directory(what) ? load_plan(what) : make_plan(read_sweep(what));
}

// The plan that lies in the sweep's folder: what was started, not what the file may say by now.
SweepPlan started_plan(const std::string& what) {
  if (std::filesystem::is_directory(what)) return load_plan(what);
  return load_plan(read_sweep(what).dir);
}

int exit_code_of(SweepEnding ending) {
  constexpr int kFailed = 1, kLeft = 3;
  if (ending == SweepEnding::left)
    log::warn("not all runs are trained - call again to go on, or look at them with --status");
  if (ending == SweepEnding::failed)
    log::warn("not all runs could be trained - look at them with --status, and call again to try once more");
  return ending == SweepEnding::done ? 0 : ending == SweepEnding::failed ? kFailed : kLeft;
}

int run(const SweepCommand& command) {
  switch (command.action) {
    case SweepCommand::Action::plan:
      std::fputs(describe_plan(plan_of(command.sweep)).c_str(), stdout);
      return 0;
    case SweepCommand::Action::submit:
      submit(plan_of(command.sweep));
      return 0;
    case SweepCommand::Action::local:
      return exit_code_of(run_locally(plan_of(command.sweep)));
    case SweepCommand::Action::status: {
      const SweepPlan plan = started_plan(command.sweep);
      std::fputs(describe_status(plan, read_state(plan)).c_str(), stdout);
      return 0;
    }
    case SweepCommand::Action::collect: {
      const SweepPlan plan = started_plan(command.sweep);
      collect(plan, read_state(plan));
      return 0;
    }
    case SweepCommand::Action::task:
      return exit_code_of(work_off_share(load_plan(command.sweep), command.submission));
  }
  return 0;
}

}  // namespace

// Exit codes: 0 done, 1 failed (message on stderr) or a run did, 2 wrong command line, 3 runs are left to
// train.
int main(int argc, char** argv) {
  return run_program(argc, argv, [](const Command& command) { return run(std::get<SweepCommand>(command)); });
}
