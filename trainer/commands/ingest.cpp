// shelfcast ingest: tables (CSV, Parquet) into a corpus.
#include "data/ingest/ingest.h"

#include <memory>

#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "trainer/commands/command.h"
#include "trainer/recipe_map.h"

namespace shelfcast::trainer {
namespace {

struct Options {
  std::string format, from, out, map, frequency;
  std::int64_t series_limit = 0;
};

void run(const Options& options) {
  data::IngestConfig config;
  config.format = data::parse_table_format(options.format);
  config.from = options.from;
  config.out = options.out;
  if (!options.map.empty()) config.map = read_map(options.map);
  if (!options.frequency.empty()) config.frequency = parse_frequency(options.frequency);
  if (options.series_limit > 0) config.series_limit = options.series_limit;

  const auto started = std::chrono::steady_clock::now();
  const data::CorpusInfo info = data::ingest(config);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
  log::all("{}: {} series, {} steps from {}, demand until {}", options.out, info.series, info.steps,
           format_date(info.axis.start), format_date(info.axis.date_of(info.demand_end - 1)));
  log::all("ingested in {:.1f} s with at most {} of memory", seconds.count(),
           format_bytes(static_cast<double>(memory_use().peak_bytes)));
}

}  // namespace

void add_ingest(CLI::App& app, Program& program) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("ingest", "Read tables (CSV, CSV.gz, CSV.zst, Parquet) into a corpus");
  command->add_option("--format", options->format, "What the tables are: m5, rossmann, or long with --map")
      ->required();
  command->add_option("--from", options->from, "Folder or file to read")->required();
  command->add_option("--out", options->out, "Corpus folder to make (must not exist)")->required();
  command->add_option("--map", options->map, "What the columns of a long table are (YAML; docs/ingest.md)");
  command->add_option("--frequency", options->frequency,
                      "Sum daily values up: W (weeks ending on Sunday) or M");
  command->add_option("--series-limit", options->series_limit, "Keep only the first N series")
      ->check(CLI::PositiveNumber);
  command->callback([options, &program] { program.run = [options] { run(*options); }; });
}

}  // namespace shelfcast::trainer
