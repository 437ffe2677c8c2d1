// One call from tables to a corpus: what `shelfcast ingest` does.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/dates.h"
#include "data/ingest/long_table.h"

namespace shelfcast::data {

enum class TableFormat { m5, rossmann, long_table };

// "m5", "rossmann", "long"; throws Error(input) naming the text and the choices.
TableFormat parse_table_format(const std::string& text);

struct IngestConfig {
  TableFormat format = TableFormat::long_table;
  std::filesystem::path from, out;
  std::optional<LongMap> map;  // required for long tables, not allowed for others
  std::optional<std::int64_t> series_limit;
  std::optional<Frequency> frequency;  // sum daily values up to it
  std::optional<Date> until;           // leave out what comes after this day
};

// Reads, checks, and writes config.out, which must not exist; nothing is left behind when it throws. Returns
// what was written.
CorpusInfo ingest(const IngestConfig& config);

// The same into the corpus config.out, which must exist: adds what is new (data/ingest/extend.h). Returns
// what the corpus is then.
CorpusInfo append(const IngestConfig& config);

}  // namespace shelfcast::data
