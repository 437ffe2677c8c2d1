// Reads map.yaml, which tells `shelfcast ingest --format long` what the columns of a table are
// (docs/ingest.md).
#pragma once

#include <filesystem>
#include <string>

#include "data/ingest/long_table.h"

namespace shelfcast::trainer {

// Throws Error(input) "file:line: ..." for an unknown key (with the nearest name), a wrong value, a key given
// twice or broken YAML.
data::LongMap read_map(const std::filesystem::path& file);
// The same from text; `origin` stands for the file in messages.
data::LongMap parse_map(const std::string& yaml, const std::string& origin);

}  // namespace shelfcast::trainer
