// A small, strict reader of CSV files (RFC 4180): quotes, line breaks inside them, UTF-8 with or without a
// byte order mark, LF or CRLF.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace shelfcast::scorer {

struct CsvRow {
  std::int64_t line = 0;  // where the row begins in the file, from 1
  std::vector<std::string> cells;
};

struct CsvTable {
  std::vector<std::string> header;
  std::vector<CsvRow> rows;  // as many cells as the header has; empty lines are left out
};

// Throws Error(io), or Error(input) naming file and line: no header, a row with another number of cells, a
// quote that is never closed, bytes that are not UTF-8, another separator than the comma.
CsvTable read_csv(const std::filesystem::path& path);

}  // namespace shelfcast::scorer
