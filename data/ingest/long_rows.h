// The rows of a long table as plain columns, read once. Included only inside data/ingest.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/ingest/long_table.h"
#include "data/ingest/table_reader.h"

namespace shelfcast::data {

struct LongRows {
  std::vector<std::int32_t> series;            // number of the series, in order of appearance
  std::vector<std::int32_t> day;               // days since 1970
  std::vector<float> target;                   // NaN = empty
  std::vector<std::int64_t> source;            // the table's row, for messages
  std::vector<std::vector<float>> covariates;  // per map covariate; categorical codes as floats, -1 = missing
  std::vector<std::string> names;              // [series]
  std::vector<std::vector<std::int32_t>> codes;  // per map static: [series] (categorical)
  std::vector<std::vector<float>> values;        // per map static: [series] (numeric)
  std::vector<std::vector<std::string>> static_vocabularies, covariate_vocabularies;
  std::vector<Document> documents;
  std::int64_t dropped = 0;             // rows that a filter or the negative policy left out
  std::unique_ptr<TableReader> reader;  // for place()

  std::int64_t rows() const { return static_cast<std::int64_t>(series.size()); }
  // "row 17 of sales.csv" for a row as numbered here.
  std::string place(std::size_t row) const { return reader->place(source[row]); }
};

// Rows after `until` are as if they were not there. Throws Error(input) naming file and row: an empty key or
// date, a negative target, a static that differs within a series. Warns of a first or last date far from all
// others.
LongRows read_long_rows(const std::filesystem::path& path, const LongMap& map,
                        std::optional<Date> until = {});
LongRows read_long_rows(const std::vector<std::filesystem::path>& files, const LongMap& map,
                        std::optional<Date> until = {});

}  // namespace shelfcast::data
