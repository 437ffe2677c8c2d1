// The program behind `shelfcast`: runs the command of the line. One handler prints errors and stops every
// rank.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "trainer/commands/commands.h"
#include "trainer/error_text.h"

namespace {

using namespace shelfcast;

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
  const auto line = trainer::parse_command_line(argc, argv);
  if (const int* exit_code = std::get_if<int>(&line)) return *exit_code;
  parallel::Launch launch(&argc, &argv);
  try {
    const auto run = [&](const auto& command) {
      if constexpr (requires { trainer::run(command, launch); })
        trainer::run(command, launch);
      else
        throw Error(ErrorKind::internal, "sweeps and reports have programs of their own");
    };
    std::visit(run, std::get<trainer::Command>(line));
    return 0;
  } catch (const std::exception& error) {
    return fail(launch, trainer::error_text(error));
  }
}
