// Writes compressed CSV and Parquet for tests, through Arrow.
#pragma once

#include <filesystem>
#include <string>

namespace shelfcast::testing {

enum class Packing { snappy, zstd, gzip };

// `text` compressed as the file's name says (.gz or .zst).
std::filesystem::path write_compressed(const std::filesystem::path& file, const std::string& text);

// The table in `csv`, with the column types Arrow sees in it, in row groups of 1000 rows; at most `rows` rows
// when given.
std::filesystem::path write_parquet(const std::filesystem::path& file, const std::string& csv,
                                    Packing packing, int rows = -1);

}  // namespace shelfcast::testing
