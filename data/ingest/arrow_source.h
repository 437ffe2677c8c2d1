// Opens one table file as a stream of Arrow record batches. Included only inside data/ingest.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/ingest/table_reader.h"

namespace arrow {
class RecordBatchReader;
class Status;
}  // namespace arrow

namespace shelfcast::data {

// fast: Arrow converts numbers itself, on all cores, and may fail without saying where.
// careful: one thread, every cell as text, so that a bad row or cell is found by its number.
enum class CsvMode { fast, careful };

// What is known about a CSV row that has too few or too many cells.
struct BadCsvRow {
  std::int64_t line = 0;  // counted from 1 with the header; 0 = no such row was met
  int expected = 0, found = 0;
};

// Opens a reader of the columns asked for, in any order, into `reader`. The status says what is wrong with
// the first block of a CSV; `bad_row` is filled while reading in careful mode and must outlive the reader.
// Throws Error(input) when the file is not of its kind.
arrow::Status open_table(const std::filesystem::path& file, const std::vector<ColumnRequest>& columns,
                         CsvMode mode, BadCsvRow& bad_row, std::shared_ptr<arrow::RecordBatchReader>& reader);

// The line of `file` (from 1, with the header) with the stray quotation mark that a status reports; 0 =
// another trouble. Reads the file up to there.
std::int64_t stray_quote_line(const arrow::Status& status, const std::filesystem::path& file);

bool is_csv(const std::filesystem::path& file);

}  // namespace shelfcast::data
