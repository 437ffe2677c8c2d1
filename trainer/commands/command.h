// The subcommands of `shelfcast`: each file here adds one to the command line.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include "parallel/launch.h"

namespace shelfcast::trainer {

// What the chosen subcommand needs from main, and where it leaves its work: options are parsed first, then
// main calls `run` under the one handler that prints errors and stops all ranks.
struct Program {
  parallel::Launch& launch;
  std::function<void()> run;
};

// Each adds its subcommand and options; the subcommand's callback sets program.run.
void add_synth(CLI::App& app, Program& program);
void add_ingest(CLI::App& app, Program& program);
void add_inspect(CLI::App& app, Program& program);
void add_train(CLI::App& app, Program& program);
void add_forecast(CLI::App& app, Program& program);
void add_backtest(CLI::App& app, Program& program);
void add_export(CLI::App& app, Program& program);
void add_doctor(CLI::App& app, Program& program);

}  // namespace shelfcast::trainer
