// `shelfcast retrain`: a program of its own without LibTorch; it starts `shelfcast train` and the like.

#include <cstdio>

#include "base/error.h"
#include "base/log.h"
#include "trainer/command_line.h"
#include "trainer/retrain/retrain.h"
#include "trainer/retrain/retrain_report.h"
#include "trainer/sweep/process.h"

namespace {

using namespace shelfcast;
using namespace shelfcast::trainer;

constexpr int kLeft = 3;

std::optional<Date> day_of(const std::string& text) {
  if (text.empty()) return std::nullopt;
  const auto day = parse_date(text);
  if (!day) throw input_error(fmt::format("--until {} is not a date", text), "", "write YYYY-MM-DD");
  return day;
}

int run(const RetrainCommand& command) {
  const std::optional<Date> until = day_of(command.until);
  const RetrainFile file = read_retrain(command.retrain);
  if (command.action == RetrainCommand::Action::status) {
    const RetrainFolder folder{file.dir};
    std::fputs(describe_status(folder, read_history(folder)).c_str(), stdout);
    return 0;
  }
  const LeaveSignals signals;
  Retrainer retrainer(file, shelfcast_program());
  switch (command.action) {
    case RetrainCommand::Action::rollback:
      retrainer.roll_back();
      return 0;
    case RetrainCommand::Action::abandon:
      retrainer.abandon();
      return 0;
    default:
      break;
  }
  if (retrainer.run(until) != Retrainer::Ending::left) return 0;
  log::warn("asked to leave before the retrain was done - call again to go on");
  return kLeft;
}

}  // namespace

// Exit codes: 0 done (or nothing to do), 1 failed (message on stderr), 2 wrong command line, 3 asked to leave
// half-way.
int main(int argc, char** argv) {
  return run_program(argc, argv,
                     [](const Command& command) { return run(std::get<RetrainCommand>(command)); });
}
