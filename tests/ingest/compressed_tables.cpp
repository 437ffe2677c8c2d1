#include "tests/ingest/compressed_tables.h"

#include <arrow/api.h>
#include <arrow/csv/api.h>
#include <arrow/io/api.h>
#include <arrow/util/compression.h>
#include <parquet/arrow/writer.h>

#include <cstdlib>

namespace shelfcast::testing {

std::filesystem::path write_compressed(const std::filesystem::path& file, const std::string& text) {
  const auto kind = file.extension() == ".gz" ? arrow::Compression::GZIP : arrow::Compression::ZSTD;
  const auto codec = arrow::util::Codec::Create(kind).ValueOrDie();
  const auto raw = arrow::io::FileOutputStream::Open(file.string()).ValueOrDie();
  const auto out = arrow::io::CompressedOutputStream::Make(codec.get(), raw).ValueOrDie();
  if (!out->Write(text).ok() || !out->Close().ok()) std::abort();
  return file;
}

std::filesystem::path write_parquet(const std::filesystem::path& file, const std::string& csv,
                                    Packing packing, int rows) {
  const auto input = std::make_shared<arrow::io::BufferReader>(arrow::Buffer::FromString(csv));
  const auto reader = arrow::csv::TableReader::Make(
                          arrow::io::default_io_context(), input, arrow::csv::ReadOptions::Defaults(),
                          arrow::csv::ParseOptions::Defaults(), arrow::csv::ConvertOptions::Defaults())
                          .ValueOrDie();
  auto table = reader->Read().ValueOrDie();
  if (rows >= 0) table = table->Slice(0, rows);
  const auto kind = packing == Packing::snappy ? arrow::Compression::SNAPPY
                    : packing == Packing::zstd ? arrow::Compression::ZSTD
                                               : arrow::Compression::GZIP;
  const auto properties = parquet::WriterProperties::Builder().compression(kind)->build();
  const auto out = arrow::io::FileOutputStream::Open(file.string()).ValueOrDie();
  if (!parquet::arrow::WriteTable(*table, arrow::default_memory_pool(), out, 1000, properties).ok())
    std::abort();
  return file;
}

}  // namespace shelfcast::testing
