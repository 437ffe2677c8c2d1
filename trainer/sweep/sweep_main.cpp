// `shelfcast sweep`: a program of its own without LibTorch, because hundreds of tasks and impatient people
// start it.

#include <cstdio>
#include <filesystem>

#include "trainer/command_line.h"
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

void run(const SweepCommand& command) {
  switch (command.action) {
    case SweepCommand::Action::plan:
      std::fputs(describe_plan(plan_of(command.sweep)).c_str(), stdout);
      return;
    case SweepCommand::Action::submit:
      return submit(plan_of(command.sweep));
    case SweepCommand::Action::local:
      return run_locally(plan_of(command.sweep));
    case SweepCommand::Action::status: {
      const SweepPlan plan = started_plan(command.sweep);
      std::fputs(describe_status(plan, read_state(plan)).c_str(), stdout);
      return;
    }
    case SweepCommand::Action::collect: {
      const SweepPlan plan = started_plan(command.sweep);
      return collect(plan, read_state(plan));
    }
    case SweepCommand::Action::task:
      return work_off_share(load_plan(command.sweep), command.submission);
  }
}

}  // namespace

// Exit codes: 0 done, 1 failed (message on stderr), 2 wrong command line.
int main(int argc, char** argv) {
  return run_program(argc, argv, [](const Command& command) {
    run(std::get<SweepCommand>(command));
    return 0;
  });
}
