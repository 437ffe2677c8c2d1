#include "trainer/run_program.h"

#include <exception>

#include "base/host.h"
#include "base/log.h"

namespace shelfcast::trainer {

int run_program(int argc, char** argv, const std::function<int(const Command&)>& run) {
  const auto line = parse_command_line(argc, argv);
  if (const int* exit_code = std::get_if<int>(&line)) return *exit_code;
  log::set_identity({0, 1, host_name()});
  try {
    return run(std::get<Command>(line));
  } catch (const std::exception& error) {
    log::error(error.what());
    return 1;
  }
}

}  // namespace shelfcast::trainer
