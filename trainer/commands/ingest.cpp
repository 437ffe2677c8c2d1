// shelfcast ingest: tables (CSV, Parquet) into a corpus.
#include "data/ingest/ingest.h"

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "data/manifest.h"
#include "trainer/commands/commands.h"
#include "trainer/recipe_map.h"

namespace shelfcast::trainer {

void run(const IngestCommand& options, parallel::Launch&) {
  data::IngestConfig config;
  config.format = data::parse_table_format(options.format);
  config.from = options.from;
  config.out = options.out;
  if (!options.map.empty()) config.map = read_map(options.map);
  if (!options.frequency.empty()) config.frequency = parse_frequency(options.frequency);
  if (!options.until.empty()) {
    config.until = parse_date(options.until);
    if (!config.until)
      throw input_error(fmt::format("--until {} is not a date", options.until), "", "write YYYY-MM-DD");
  }
  if (options.series_limit > 0) config.series_limit = options.series_limit;

  const auto started = std::chrono::steady_clock::now();
  const std::int64_t demand_before = options.append ? data::read_manifest(config.out).info.demand_end : 0;
  const data::CorpusInfo info = options.append ? data::append(config) : data::ingest(config);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
  log::all("{}: {} series, {} steps from {}, demand until {}", options.out, info.series, info.steps,
           format_date(info.axis.start), format_date(info.axis.date_of(info.demand_end - 1)));
  if (options.append) log::all("{} new steps of demand", info.demand_end - demand_before);
  log::all("ingested in {:.1f} s with at most {} of memory", seconds.count(),
           format_bytes(static_cast<double>(memory_use().peak_bytes)));
}

}  // namespace shelfcast::trainer
