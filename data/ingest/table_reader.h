// Reads a few columns of CSV and Parquet tables, one file or a folder of files, batch by batch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace shelfcast::data {

enum class ColumnType { text, number, date };

struct ColumnRequest {
  std::string name;
  ColumnType type = ColumnType::text;
  std::string date_format = {};  // of date columns; empty = ISO (see DateParser)
};

constexpr std::int32_t kMissingCode = -1;
constexpr std::int32_t kMissingDay = std::numeric_limits<std::int32_t>::min();

// The cells of one column; the vector of its type is filled, the others stay empty.
// Texts are without white space at their ends.
struct TableColumn {
  std::vector<std::int32_t> codes;  // text: index into TableReader::dictionary(); empty text is kMissingCode
  std::vector<double> numbers;      // NaN = missing
  std::vector<std::int32_t> days;   // dates as days since 1970-01-01; kMissingDay
};

struct TableBatch {
  std::int64_t first_row = 0;  // counted from 0 over all files
  std::int64_t rows = 0;
  std::vector<TableColumn> columns;  // in the order asked for
};

// Files end in .csv or .parquet, in any case; a CSV may be compressed (.csv.gz, .csv.zst), and its separator
// (comma, semicolon, tab, bar) is recognised from the header line. Decoding uses all cores; memory is bounded
// by a batch, whatever the table's size. Not thread-safe.
class TableReader {
 public:
  // `files` are read one after the other, as one table. Throws Error(input) when one lacks a column (naming
  // the nearest).
  TableReader(std::vector<std::filesystem::path> files, std::vector<ColumnRequest> columns);
  ~TableReader();

  // The next rows, reusing `batch`'s memory; false after the last. Throws Error(input) naming file and row
  // for a cell that is not what was asked for, for a damaged file, and at the end when there was no row at
  // all.
  bool next(TableBatch& batch);
  // The distinct values of a text column met so far, in order of appearance.
  const std::vector<std::string>& dictionary(std::size_t column) const;
  // "row 17 of sales.csv": rows of a file are counted from 1 without the header.
  std::string place(std::int64_t row) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The files a path stands for: itself, or the tables in a folder by name. Warns of what else the folder
// holds, unless its name begins with a dot. Throws Error(input) when there is no table.
std::vector<std::filesystem::path> table_files(const std::filesystem::path& path);
// Whether a file's name says that it is a table we can read.
bool is_table_file(const std::filesystem::path& file);
// The column names of one file, in its order. Throws Error(input) for an empty or foreign file.
std::vector<std::string> table_columns(const std::filesystem::path& file);
// Throws Error(input) when `columns` lacks `name`, with the nearest name there is; `file` is for the message.
void require_column(const std::string& name, const std::vector<std::string>& columns,
                    const std::filesystem::path& file);

}  // namespace shelfcast::data
