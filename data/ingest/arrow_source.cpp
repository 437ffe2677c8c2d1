#include "data/ingest/arrow_source.h"

#include <arrow/api.h>
#include <arrow/csv/api.h>
#include <arrow/io/api.h>
#include <arrow/util/compression.h>
#include <parquet/arrow/reader.h>
#include <parquet/exception.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <map>

#include "base/error.h"
#include "data/ingest/csv_quotes.h"

namespace shelfcast::data {
namespace {

namespace fs = std::filesystem;

// Numbers of one batch: bounds the memory of tables with thousands of columns.
constexpr std::int64_t kCellsPerBatch = 4 << 20;
constexpr std::int32_t kCsvBlockBytes = 4 << 20;

// In any case: SALES.CSV is a CSV.
bool ends_with(const fs::path& file, std::string_view ending) {
  const std::string name = file.filename().string();
  const auto same = [](unsigned char a, unsigned char b) { return std::tolower(a) == b; };
  return name.size() >= ending.size() && std::equal(name.end() - static_cast<std::ptrdiff_t>(ending.size()),
                                                    name.end(), ending.begin(), same);
}

// The value, or Error(input) naming the file.
template <typename T>
T value_or_throw(arrow::Result<T> result, const fs::path& file) {
  if (!result.ok()) {
    throw input_error(fmt::format("cannot read {}", file.string()), result.status().message(),
                      "check that the file is complete and of the kind its name says");
  }
  return std::move(result).ValueUnsafe();
}

std::shared_ptr<arrow::io::InputStream> open_stream(const fs::path& file) {
  std::shared_ptr<arrow::io::InputStream> stream =
      value_or_throw(arrow::io::ReadableFile::Open(file.string()), file);
  if (ends_with(file, ".csv")) return stream;
  const auto kind = ends_with(file, ".gz") ? arrow::Compression::GZIP : arrow::Compression::ZSTD;
  // The codec has to live as long as the stream; one of each kind serves all.
  static const auto gzip = arrow::util::Codec::Create(arrow::Compression::GZIP).ValueOrDie();
  static const auto zstd = arrow::util::Codec::Create(arrow::Compression::ZSTD).ValueOrDie();
  auto* codec = kind == arrow::Compression::GZIP ? gzip.get() : zstd.get();
  return value_or_throw(arrow::io::CompressedInputStream::Make(codec, stream), file);
}

constexpr const char* kStrayQuote = "shelfcast::StrayQuote";

// Where a stray quotation mark stands, in bytes, told through Arrow.
class StrayQuote : public arrow::StatusDetail {
 public:
  explicit StrayQuote(std::int64_t byte) : at(byte) {}
  const char* type_id() const override { return kStrayQuote; }
  std::string ToString() const override { return fmt::format("a stray quotation mark at byte {}", at); }

  const std::int64_t at;
};

// The bytes of a CSV as they are; reading fails once they hold a stray quotation mark.
class QuoteCheckedStream : public arrow::io::InputStream {
 public:
  QuoteCheckedStream(std::shared_ptr<arrow::io::InputStream> bytes, char separator)
      : bytes_(std::move(bytes)), quotes_(separator, kCsvBlockBytes) {}

  arrow::Status Close() override { return bytes_->Close(); }
  bool closed() const override { return bytes_->closed(); }
  arrow::Result<std::int64_t> Tell() const override { return bytes_->Tell(); }
  arrow::Result<std::int64_t> Read(std::int64_t size, void* out) override {
    ARROW_ASSIGN_OR_RAISE(const std::int64_t read, bytes_->Read(size, out));
    ARROW_RETURN_NOT_OK(check({static_cast<const char*>(out), static_cast<std::size_t>(read)}));
    return read;
  }
  arrow::Result<std::shared_ptr<arrow::Buffer>> Read(std::int64_t size) override {
    ARROW_ASSIGN_OR_RAISE(auto read, bytes_->Read(size));
    ARROW_RETURN_NOT_OK(check(std::string_view(*read)));
    return read;
  }

 private:
  arrow::Status check(std::string_view read) {
    if (read.empty())
      quotes_.finish();
    else
      quotes_.pass(read);
    if (quotes_.stray_at() < 0) return arrow::Status::OK();
    return arrow::Status(arrow::StatusCode::Invalid, "stray quotation mark",
                         std::make_shared<StrayQuote>(quotes_.stray_at()));
  }

  std::shared_ptr<arrow::io::InputStream> bytes_;
  CsvQuotes quotes_;
};

// What is named .csv and is none, told by its first bytes.
void refuse_foreign(std::string_view head, const fs::path& file) {
  struct Kind {
    std::string_view first_bytes;
    const char *name, *advice;
  };
  constexpr const char* kToUtf8 = "convert it: iconv -f utf-16 -t utf-8 IN > OUT";
  static constexpr std::array<Kind, 6> kForeign = {{
      {"\xFF\xFE", "UTF-16 text", kToUtf8},
      {"\xFE\xFF", "UTF-16 text", kToUtf8},
      {"\x1F\x8B", "compressed with gzip", "let its name end in .csv.gz"},
      {"\x28\xB5\x2F\xFD", "compressed with zstd", "let its name end in .csv.zst"},
      {"PAR1", "Parquet", "let its name end in .parquet"},
      {"PK\x03\x04", "a zip archive or a spreadsheet", "unpack it, or save the sheet as CSV"},
  }};
  for (const Kind& kind : kForeign) {
    if (head.starts_with(kind.first_bytes))
      throw input_error(fmt::format("{} is {}, not a CSV", file.string(), kind.name), "by its first bytes",
                        kind.advice);
  }
}

// The first line of a CSV, without a byte order mark.
struct Header {
  std::string line;
  bool alone = false;  // nothing follows it
};

Header read_header(const fs::path& file) {
  auto stream = open_stream(file);
  std::string head;
  while (head.find('\n') == std::string::npos && head.size() < (std::size_t{64} << 20)) {
    const auto piece = value_or_throw(stream->Read(1 << 16), file);
    if (piece->size() == 0) break;
    head += std::string_view(*piece);
  }
  refuse_foreign(head, file);
  if (head.starts_with("\xEF\xBB\xBF")) head.erase(0, 3);
  const std::size_t end = std::min(head.find('\n'), head.size());
  const bool alone = end + 1 >= head.size();
  head.resize(end);
  if (head.ends_with('\r')) head.pop_back();
  if (head.empty()) throw input_error(fmt::format("{} is empty", file.string()), "it has no header line");
  return {head, alone};
}

// The commonest candidate outside quotation marks.
char separator_of(const std::string& header) {
  constexpr std::string_view kCandidates = ",;\t|";
  std::array<int, kCandidates.size()> counts{};
  bool quoted = false;
  for (const char c : header) {
    if (c == '"') quoted = !quoted;
    const std::size_t candidate = kCandidates.find(c);
    if (!quoted && candidate != std::string_view::npos) ++counts[candidate];
  }
  return kCandidates[static_cast<std::size_t>(std::max_element(counts.begin(), counts.end()) -
                                              counts.begin())];
}

std::vector<std::string> split_header(const std::string& header) {
  const char separator = separator_of(header);
  std::vector<std::string> names(1);
  bool quoted = false;
  for (std::size_t i = 0; i < header.size(); ++i) {
    if (header[i] == '"') {
      if (quoted && i + 1 < header.size() && header[i + 1] == '"')
        names.back() += header[i++];
      else
        quoted = !quoted;
    } else if (header[i] == separator && !quoted) {
      names.emplace_back();
    } else {
      names.back() += header[i];
    }
  }
  return names;
}

arrow::csv::ConvertOptions convert_options(const std::vector<ColumnRequest>& columns, CsvMode mode) {
  auto options = arrow::csv::ConvertOptions::Defaults();
  for (const ColumnRequest& column : columns) {
    const bool number = column.type == ColumnType::number && mode == CsvMode::fast;
    options.include_columns.push_back(column.name);
    options.column_types[column.name] =
        number ? arrow::float64() : arrow::dictionary(arrow::int32(), arrow::utf8());
  }
  return options;
}

// A table without rows.
arrow::Status open_nothing(std::shared_ptr<arrow::RecordBatchReader>& reader) {
  ARROW_ASSIGN_OR_RAISE(reader, arrow::RecordBatchReader::Make({}, arrow::schema(arrow::FieldVector{})));
  return arrow::Status::OK();
}

arrow::Status open_csv(const fs::path& file, const std::vector<ColumnRequest>& columns, CsvMode mode,
                       BadCsvRow& bad_row, std::shared_ptr<arrow::RecordBatchReader>& reader) {
  const Header header = read_header(file);
  if (header.alone) return open_nothing(reader);
  auto read = arrow::csv::ReadOptions::Defaults();
  read.block_size = kCsvBlockBytes;
  read.use_threads = mode == CsvMode::fast;
  auto parse = arrow::csv::ParseOptions::Defaults();
  parse.delimiter = separator_of(header.line);
  parse.newlines_in_values = true;  // product descriptions hold them
  parse.invalid_row_handler = [&bad_row](const arrow::csv::InvalidRow& row) {
    bad_row = {row.number, row.expected_columns, row.actual_columns};
    return arrow::csv::InvalidRowResult::Error;
  };
  const auto bytes = std::make_shared<QuoteCheckedStream>(open_stream(file), parse.delimiter);
  ARROW_ASSIGN_OR_RAISE(reader,
                        arrow::csv::StreamingReader::Make(arrow::io::default_io_context(), bytes, read, parse,
                                                          convert_options(columns, mode)));
  return arrow::Status::OK();
}

// A Parquet file and the stream of its batches, which needs the file.
class ParquetStream : public arrow::RecordBatchReader {
 public:
  ParquetStream(std::unique_ptr<parquet::arrow::FileReader> file,
                std::unique_ptr<arrow::RecordBatchReader> batches)
      : file_(std::move(file)), batches_(std::move(batches)) {}
  std::shared_ptr<arrow::Schema> schema() const override { return batches_->schema(); }
  arrow::Status ReadNext(std::shared_ptr<arrow::RecordBatch>* batch) override {
    return batches_->ReadNext(batch);
  }

 private:
  std::unique_ptr<parquet::arrow::FileReader> file_;
  std::unique_ptr<arrow::RecordBatchReader> batches_;
};

std::unique_ptr<parquet::ParquetFileReader> open_parquet_file(const fs::path& file) {
  try {
    return parquet::ParquetFileReader::OpenFile(file.string(), /*memory_map=*/false);
  } catch (const parquet::ParquetException& error) {
    throw input_error(fmt::format("cannot read {}", file.string()), error.what(),
                      "check that the file is complete and really Parquet");
  }
}

std::shared_ptr<arrow::RecordBatchReader> open_parquet(const fs::path& file,
                                                       const std::vector<ColumnRequest>& columns) {
  auto raw = open_parquet_file(file);
  const auto metadata = raw->metadata();
  parquet::ArrowReaderProperties properties(/*use_threads=*/true);
  properties.set_batch_size(
      std::clamp<std::int64_t>(kCellsPerBatch / static_cast<std::int64_t>(columns.size()), 1024, 1 << 18));
  std::vector<int> indices, groups;
  for (const ColumnRequest& column : columns) {
    const int index = metadata->schema()->ColumnIndex(column.name);
    if (index < 0) {
      throw input_error(fmt::format("column \"{}\" of {} holds nested values", column.name, file.string()));
    }
    indices.push_back(index);
    // Reading text as dictionary codes saves a string per row.
    if (metadata->schema()->Column(index)->physical_type() == parquet::Type::BYTE_ARRAY) {
      properties.set_read_dictionary(index, true);
    }
  }
  for (int group = 0; group < metadata->num_row_groups(); ++group) groups.push_back(group);
  std::unique_ptr<parquet::arrow::FileReader> reader = value_or_throw(
      parquet::arrow::FileReader::Make(arrow::default_memory_pool(), std::move(raw), properties), file);
  auto batches = value_or_throw(reader->GetRecordBatchReader(groups, indices), file);
  return std::make_shared<ParquetStream>(std::move(reader), std::move(batches));
}

std::vector<std::string> parquet_columns(const fs::path& file) {
  const auto raw = open_parquet_file(file);
  const auto* schema = raw->metadata()->schema();
  std::vector<std::string> names;
  for (int i = 0; i < schema->num_columns(); ++i) names.push_back(schema->Column(i)->path()->ToDotString());
  return names;
}

}  // namespace

std::int64_t stray_quote_line(const arrow::Status& status, const fs::path& file) {
  const auto& detail = status.detail();
  if (detail == nullptr || std::string_view(detail->type_id()) != kStrayQuote) return 0;
  const auto stream = open_stream(file);
  std::int64_t line = 1;
  for (std::int64_t left = static_cast<const StrayQuote&>(*detail).at; left > 0;) {
    const auto piece = value_or_throw(stream->Read(std::min<std::int64_t>(left, kCsvBlockBytes)), file);
    if (piece->size() == 0) break;  // the file shrank meanwhile
    const std::string_view bytes(*piece);
    line += std::count(bytes.begin(), bytes.end(), '\n');
    left -= piece->size();
  }
  return line;
}

bool is_csv(const fs::path& file) {
  return ends_with(file, ".csv") || ends_with(file, ".csv.gz") || ends_with(file, ".csv.zst");
}

bool is_table_file(const fs::path& file) { return is_csv(file) || ends_with(file, ".parquet"); }

std::vector<std::string> table_columns(const fs::path& file) {
  return is_csv(file) ? split_header(read_header(file).line) : parquet_columns(file);
}

arrow::Status open_table(const fs::path& file, const std::vector<ColumnRequest>& columns, CsvMode mode,
                         BadCsvRow& bad_row, std::shared_ptr<arrow::RecordBatchReader>& reader) {
  if (is_csv(file)) return open_csv(file, columns, mode, bad_row, reader);
  reader = open_parquet(file, columns);
  return arrow::Status::OK();
}

}  // namespace shelfcast::data
