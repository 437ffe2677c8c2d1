#include "data/ingest/table_reader.h"

#include <arrow/api.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "data/ingest/arrow_convert.h"
#include "data/ingest/arrow_source.h"

namespace shelfcast::data {

namespace fs = std::filesystem;

namespace {

const char* kind_of(ColumnType type) {
  switch (type) {
    case ColumnType::text:
      return "text";
    case ColumnType::number:
      return "a number";
    case ColumnType::date:
      return "a date";
  }
  return "";
}

// Arrow's messages may run over several lines with its own places in the source.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// "a, b, c", or "a, b, c, d, e and 12 more".
std::string first_few(const std::vector<std::string>& names) {
  constexpr std::size_t kFew = 5;
  const std::size_t shown = std::min(names.size(), kFew);
  const std::string list = fmt::format("{}", fmt::join(names.begin(), names.begin() + shown, ", "));
  return names.size() == shown ? list : fmt::format("{} and {} more", list, names.size() - shown);
}

}  // namespace

struct TableReader::State {
  struct File {
    fs::path path;
    std::int64_t first_row;
  };

  std::vector<ColumnRequest> columns;
  std::vector<DateParser> parsers;  // one a column; used for dates only
  std::vector<StringPool> pools;    // one a column; used for text only
  std::vector<fs::path> files;
  std::vector<File> opened;  // the files met so far
  std::size_t next_file = 0;
  std::int64_t rows = 0;  // delivered so far
  CsvMode mode = CsvMode::fast;
  BadCsvRow bad_row;
  std::shared_ptr<arrow::RecordBatchReader> stream;

  std::int64_t rows_of_file() const { return rows - opened.back().first_row; }
  void open_next();
  std::shared_ptr<arrow::RecordBatch> read_batch();
  void reopen_carefully();
  [[noreturn]] void fail(const arrow::Status& status) const;
  void convert(const arrow::RecordBatch& source, TableBatch& batch);
  void convert_column(std::size_t index, const arrow::Array& array, TableColumn& column);
  std::string bad_cell(std::size_t index, const BadCell& bad) const;
  std::string advice_on(std::size_t index, const BadCell& bad) const;
  std::string place(std::int64_t row) const;
};

void TableReader::State::open_next() {
  mode = CsvMode::fast;
  opened.push_back({files[next_file], rows});
  if (!open_table(files[next_file++], columns, mode, bad_row, stream).ok()) reopen_carefully();
}

// The next batch of the file at hand; nullptr at its end.
std::shared_ptr<arrow::RecordBatch> TableReader::State::read_batch() {
  std::shared_ptr<arrow::RecordBatch> batch;
  arrow::Status status = stream->ReadNext(&batch);
  if (status.ok()) return batch;
  if (mode == CsvMode::careful || !is_csv(opened.back().path)) fail(status);
  reopen_carefully();
  return read_batch();
}

// After a failure the same file is read again cell by cell, which finds the bad one by its row; rows already
// delivered are passed over.
void TableReader::State::reopen_carefully() {
  mode = CsvMode::careful;
  bad_row = {};
  const arrow::Status opening = open_table(opened.back().path, columns, mode, bad_row, stream);
  if (!opening.ok()) fail(opening);
  std::int64_t skip = rows_of_file();
  while (skip > 0) {
    std::shared_ptr<arrow::RecordBatch> batch;
    const arrow::Status status = stream->ReadNext(&batch);
    if (!status.ok()) fail(status);
    skip -= batch->num_rows();
    // Both modes cut the file into the same blocks.
    SHELFCAST_ASSERT(skip >= 0);
  }
}

void TableReader::State::fail(const arrow::Status& status) const {
  const std::string file = opened.back().path.string();
  if (const std::int64_t line = stray_quote_line(status, opened.back().path); line > 0) {
    throw input_error(
        fmt::format("line {} of {}: a quotation mark opens a cell that does not end", line, file),
        "it would swallow the rows that follow",
        "remove the mark, or write it twice in a cell in quotation marks, \"5\"\" nails\" "
        "(lines are counted with the header)");
  }
  if (bad_row.found > 0) {
    const std::string where = bad_row.line > 0 ? fmt::format("row {} of {}", bad_row.line - 1, file) : file;
    throw input_error(
        fmt::format("{} has {} cells where {} are expected", where, bad_row.found, bad_row.expected),
        "a separator or a quotation mark is missing or too many",
        "correct the row (rows are counted without the header)");
  }
  if (status.message().find("UTF8") != std::string::npos) {
    throw input_error(fmt::format("{} is not UTF-8 text", file), "",
                      "convert it: iconv -f latin1 -t utf-8 IN > OUT");
  }
  throw input_error(fmt::format("cannot read {} after row {}", file, rows_of_file()),
                    first_line(status.message()), "check that the file is complete");
}

void TableReader::State::convert(const arrow::RecordBatch& source, TableBatch& batch) {
  batch.first_row = rows;
  batch.rows = source.num_rows();
  batch.columns.resize(columns.size());
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const auto array = source.GetColumnByName(columns[i].name);
    SHELFCAST_ASSERT(array != nullptr);
    convert_column(i, *array, batch.columns[i]);
  }
  rows += source.num_rows();
}

void TableReader::State::convert_column(std::size_t index, const arrow::Array& array, TableColumn& column) {
  try {
    switch (columns[index].type) {
      case ColumnType::text:
        convert_text(array, pools[index], column.codes);
        break;
      case ColumnType::number:
        convert_numbers(array, column.numbers);
        break;
      case ColumnType::date:
        convert_dates(array, parsers[index], column.days);
        break;
    }
  } catch (const BadCell& bad) {
    throw input_error(bad_cell(index, bad), "", advice_on(index, bad));
  } catch (const Error& error) {
    throw input_error(fmt::format("column \"{}\" of {}: {}", columns[index].name, opened.back().path.string(),
                                  error.problem()),
                      error.why(), error.advice());
  }
}

std::string TableReader::State::advice_on(std::size_t index, const BadCell& bad) const {
  if (columns[index].type == ColumnType::date) return "expected " + parsers[index].expected();
  if (bad.text.find(',') != std::string::npos)
    return "write numbers with a decimal point and no separator of thousands: 1234.5";
  return "leave the cell empty if the value is missing";
}

std::string TableReader::State::bad_cell(std::size_t index, const BadCell& bad) const {
  return fmt::format("{}: \"{}\" in column \"{}\" is not {}", place(rows + bad.row), bad.text,
                     columns[index].name, kind_of(columns[index].type));
}

std::string TableReader::State::place(std::int64_t row) const {
  for (auto file = opened.rbegin(); file != opened.rend(); ++file) {
    if (row >= file->first_row)
      return fmt::format("row {} of {}", row - file->first_row + 1, file->path.string());
  }
  return fmt::format("row {}", row + 1);
}

TableReader::TableReader(std::vector<fs::path> files, std::vector<ColumnRequest> columns)
    : state_(std::make_unique<State>()) {
  State& state = *state_;
  state.files = std::move(files);
  for (const fs::path& file : state.files) {
    const auto names = table_columns(file);
    for (const ColumnRequest& column : columns) require_column(column.name, names, file);
  }
  for (const ColumnRequest& column : columns) state.parsers.emplace_back(column.date_format);
  state.pools.resize(columns.size());
  state.columns = std::move(columns);
}

TableReader::~TableReader() = default;

bool TableReader::next(TableBatch& batch) {
  State& state = *state_;
  for (;;) {
    if (state.stream == nullptr) {
      if (state.next_file == state.files.size()) break;
      state.open_next();
    }
    const auto source = state.read_batch();
    if (source == nullptr) {
      state.stream = nullptr;
    } else if (source->num_rows() > 0) {
      state.convert(*source, batch);
      return true;
    }
  }
  if (state.rows == 0)
    throw input_error(fmt::format("{} holds no rows", state.files.front().string()), "the table is empty");
  return false;
}

const std::vector<std::string>& TableReader::dictionary(std::size_t column) const {
  return state_->pools[column].strings();
}

std::string TableReader::place(std::int64_t row) const { return state_->place(row); }

std::vector<fs::path> table_files(const fs::path& path) {
  constexpr const char* kEndings = "tables end in .csv, .csv.gz, .csv.zst or .parquet";
  if (!fs::exists(path))
    throw input_error(fmt::format("{} does not exist", path.string()), "", "check the path");
  if (!fs::is_directory(path)) {
    if (is_table_file(path)) return {path};
    throw input_error(fmt::format("{} is not a table we can read", path.string()), "by its name", kEndings);
  }
  std::vector<fs::path> files;
  std::vector<std::string> unread;
  for (const auto& entry : fs::directory_iterator(path)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with('.')) continue;
    if (entry.is_regular_file() && is_table_file(entry.path()))
      files.push_back(entry.path());
    else
      unread.push_back(entry.is_directory() ? name + "/" : name);
  }
  std::sort(files.begin(), files.end());
  std::sort(unread.begin(), unread.end());
  if (files.empty()) {
    throw input_error(fmt::format("{} holds no table", path.string()),
                      unread.empty() ? "it is empty" : "it holds " + first_few(unread),
                      fmt::format("{}, and lie in the folder itself", kEndings));
  }
  if (!unread.empty()) {
    log::warn("{}: not read: {} ({}, and lie in the folder itself)", path.string(), first_few(unread),
              kEndings);
  }
  return files;
}

void require_column(const std::string& name, const std::vector<std::string>& columns, const fs::path& file) {
  const auto count = std::count(columns.begin(), columns.end(), name);
  if (count == 1) return;
  if (count > 1)
    throw input_error(fmt::format("{} has {} columns named \"{}\"", file.string(), count, name), "",
                      "rename all but one");
  const std::string nearest = nearest_name(name, columns);
  std::string all;
  for (std::size_t i = 0; i < std::min<std::size_t>(columns.size(), 12); ++i)
    all += (i == 0 ? "" : ", ") + columns[i];
  if (columns.size() > 12) all += ", ...";
  throw input_error(fmt::format("{} has no column \"{}\"", file.string(), name), "it has " + all,
                    nearest.empty() ? "" : fmt::format("did you mean \"{}\"?", nearest));
}

}  // namespace shelfcast::data
