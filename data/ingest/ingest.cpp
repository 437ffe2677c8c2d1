#include "data/ingest/ingest.h"

#include <algorithm>

#include "base/error.h"
#include "base/progress.h"
#include "data/ingest/extend.h"
#include "data/ingest/frequency.h"
#include "data/ingest/m5.h"
#include "data/ingest/panel.h"
#include "data/ingest/past.h"
#include "data/ingest/rossmann.h"
#include "data/manifest.h"

namespace shelfcast::data {
namespace {

Panel read_panel(const IngestConfig& config, Demand demand) {
  switch (config.format) {
    case TableFormat::m5:
      // A wide table knows of no day on which a series came in: only days are left out.
      return config.until ? limit_time(read_m5(find_m5_files(config.from)), *config.until)
                          : read_m5(find_m5_files(config.from));
    case TableFormat::rossmann:
      return read_rossmann(find_rossmann_file(config.from), config.until);
    case TableFormat::long_table:
      return read_long_table(config.from, *config.map, demand, config.until);
  }
  throw Error(ErrorKind::internal, "unknown table format");
}

void check(const IngestConfig& config) {
  const bool needs_map = config.format == TableFormat::long_table;
  if (needs_map && !config.map) {
    throw input_error("a long table needs a map of its columns", "",
                      "write one (docs/ingest.md) and give it with --map map.yaml");
  }
  if (!needs_map && config.map)
    throw input_error("a map is only for long tables", "", "leave --map out, or use --format long");
}

void check_new(const IngestConfig& config) {
  if (std::filesystem::exists(config.out)) {
    throw input_error(fmt::format("{} already exists", config.out.string()), "a corpus is never overwritten",
                      "remove it, choose another --out, or add to it with --append");
  }
}

// Nothing is left behind when it throws.
void write_panel(const Panel& panel, const std::filesystem::path& folder) {
  CorpusWriter writer(folder, panel.info, panel.table);
  for (std::size_t i = 0; i < panel.shared.size(); ++i) {
    if (panel.info.covariates[i].per != "series") writer.write_shared(i, panel.shared[i]);
  }
  if (!panel.documents.empty()) writer.write_documents(panel.documents);
  const std::int64_t block = series_per_block(panel.info);
  Progress progress("write", panel.info.series, "series");
  PanelRows rows;
  for (std::int64_t first = 0; first < panel.info.series; first += block) {
    const std::int64_t count = std::min(block, panel.info.series - first);
    panel.fill(first, count, rows);
    writer.append(count, rows.demand, rows.covariates);
    progress.update(first + count);
  }
  writer.finish();
}

}  // namespace

TableFormat parse_table_format(const std::string& text) {
  if (text == "m5") return TableFormat::m5;
  if (text == "rossmann") return TableFormat::rossmann;
  if (text == "long") return TableFormat::long_table;
  throw input_error(fmt::format("unknown table format \"{}\"", text), "", "use m5, rossmann or long");
}

namespace {

Panel read_checked(const IngestConfig& config, Demand demand) {
  check(config);
  return read_panel(config, demand);
}

// `known`: series that a corpus has and that no limit takes away.
Panel prepared(Panel panel, const IngestConfig& config, std::int64_t known) {
  if (config.frequency) {
    // The published weekly protocol of Rossmann counts the stores' gap as weeks without sales.
    const auto empty = config.format == TableFormat::rossmann ? EmptyPeriod::zero : EmptyPeriod::missing;
    panel = to_frequency(std::move(panel), *config.frequency, empty);
  }
  if (config.series_limit) panel = limit_series(std::move(panel), std::max(*config.series_limit, known));
  return panel;
}

}  // namespace

CorpusInfo ingest(const IngestConfig& config) {
  check_new(config);
  const Panel panel = prepared(read_checked(config, Demand::required), config, 0);
  write_panel(panel, config.out);
  return panel.info;
}

CorpusInfo append(const IngestConfig& config) {
  read_manifest(config.out);  // before a long read
  Panel panel = read_checked(config, Demand::optional);
  const FileLock lock = lock_corpus(config.out);
  const Corpus corpus(config.out);
  panel = prepared(go_on_from(std::move(panel), corpus), config, corpus.info().series);
  extend_corpus(panel, corpus);
  return read_manifest(config.out).info;
}

}  // namespace shelfcast::data
