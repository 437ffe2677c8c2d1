// `shelfcast`: answers what the command line alone can answer, and becomes shelfcast-engine for everything
// else (shelfcast-sweep and shelfcast-retrain for what they are named after, shelfcast-report for reports).
// The engine loads LibTorch, which takes half a second that nobody should wait for help or for the name of a
// misspelt option.
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "trainer/command_line.h"

int main(int argc, char** argv) {
  using namespace shelfcast;
  const auto line = trainer::parse_command_line(argc, argv);
  if (const int* exit_code = std::get_if<int>(&line)) return *exit_code;
  std::error_code failed;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", failed);
  const auto& command = std::get<trainer::Command>(line);
  const char* program = "shelfcast-engine";
  if (std::holds_alternative<trainer::SweepCommand>(command)) program = "shelfcast-sweep";
  if (std::holds_alternative<trainer::RetrainCommand>(command)) program = "shelfcast-retrain";
  if (std::holds_alternative<trainer::ReportCommand>(command) ||
      std::holds_alternative<trainer::CompareCommand>(command))
    program = "shelfcast-report";
  const auto engine = self.parent_path().parent_path() / "libexec" / program;
  execv(engine.c_str(), argv);
  std::fprintf(stderr, "shelfcast: cannot start %s (%s) - it belongs beside bin/: build or install again\n",
               engine.c_str(), std::strerror(errno));
  return 1;
}
