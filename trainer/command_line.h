// The command line of `shelfcast`: what each subcommand was asked to do, as plain structs. Knows neither
// LibTorch nor MPI, so that help and mistakes are answered at once.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "data/synth/market.h"
#include "trainer/run/resume.h"

namespace shelfcast::trainer {

struct SynthCommand {
  data::MarketConfig market;
  std::string start, out;
};

struct IngestCommand {
  std::string format, from, out, map, frequency, until;
  bool append = false;
  std::int64_t series_limit = 0;  // 0 = all
};

struct InspectCommand {
  std::string corpus;
  bool verify = false;
};

struct TrainCommand {
  std::string recipe;
  std::vector<std::string> overrides;
  Resume resume = Resume::never;
  std::int64_t stop_after = 0;  // 0 = not before the end
  bool print_recipe = false;
  std::string print;                     // a key of the resolved recipe, "run.dir"
  bool check = false;                    // tell what the run would need, and leave
  std::int64_t ranks = 0;                // with check: for how many ranks; 0 = those that there are
  std::vector<std::string> assumptions;  // with check: NAME=VALUE of machines that are not here
};

struct StopCommand {
  std::string run;
  bool wait = false;  // until the training has left
};

struct ForecastCommand {
  std::string model, sales, out;
  std::int64_t horizon = 0;              // 0 = the model's
  std::vector<double> quantiles;         // empty = the model's
  std::vector<std::string> known, past;  // columns that a published model reads
  std::int64_t threads = 0;              // of published models; 0 = all cores
};

struct BacktestCommand {
  std::string model;
  std::string corpus;                    // of published models
  std::string out;                       // empty = the run's folder, or zero-shot/MODEL
  std::vector<std::string> ensemble;     // runs whose forecasts are averaged with the model's
  std::vector<std::string> known, past;  // of published models
  std::int64_t threads = 1;
  std::vector<std::string> overrides;
};

struct ReportCommand {
  std::vector<std::string> runs;
  std::string out = "report", published;
};

struct CompareCommand {
  std::string first, second;
};

struct WeightsCommand {
  std::string model;
};

struct ExportCommand {
  std::string run, out;
};

struct TokenizeCommand {
  std::string model, text, out;  // out empty = standard output
  std::int64_t max_length = 128;
};

struct EmbedCommand {
  std::string model, text, out;
  std::string pooling = "mean";
  bool normalize = false;
  std::int64_t max_length = 128, batch = 64;
};

struct LabelCommand {
  std::string model, text, out;
  std::int64_t batch = 64;
};

struct SweepCommand {
  enum class Action { plan, submit, local, status, collect, task };
  std::string sweep;  // file, or folder of a sweep that was started
  Action action = Action::plan;
  std::int64_t submission = 0;  // of the task
};

struct RetrainCommand {
  enum class Action { run, status, rollback, abandon };
  std::string retrain;  // file
  Action action = Action::run;
  std::string until;
};

struct DoctorCommand {
  std::string folder = ".";
  bool as_rank = false;
};

using Command =
    std::variant<SynthCommand, IngestCommand, InspectCommand, TrainCommand, StopCommand, ForecastCommand,
                 BacktestCommand, ReportCommand, CompareCommand, WeightsCommand, ExportCommand,
                 TokenizeCommand, EmbedCommand, LabelCommand, SweepCommand, RetrainCommand, DoctorCommand>;

// Version and commit this program was built from, and the compiler.
std::string build_id();

// The command, or, when there is nothing to run, the exit code: 0 after help or version, 2 after a mistake;
// both have been printed.
std::variant<Command, int> parse_command_line(int argc, char** argv);

}  // namespace shelfcast::trainer
