#pragma once

#include <functional>

#include "trainer/command_line.h"

namespace shelfcast::trainer {

// main() of a program that is one process: `run` does the command and returns the exit code; what it throws
// is printed and gives 1.
int run_program(int argc, char** argv, const std::function<int(const Command&)>& run);

}  // namespace shelfcast::trainer
