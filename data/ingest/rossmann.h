// The Rossmann store sales: daily revenue of stores, with the store's facts joined to every row.
#pragma once

#include <filesystem>
#include <optional>

#include "data/ingest/panel.h"

namespace shelfcast::data {

// The table itself, or the folder that holds rossmann.parquet or rossmann.csv. Throws Error(input).
std::filesystem::path find_rossmann_file(const std::filesystem::path& path);

// A grid of every store by every day between the first and the last. A day without a row is a closed day
// (sales 0, open 0), but in 2014-07-01..2014-12-31, the known gap of the data: there, and in the part of it
// that the table covers, a store without any row is not observed. Promotions and holidays of closed days are
// not in the data and therefore missing. Rows after `until` are as if they were not there. Throws
// Error(input).
Panel read_rossmann(const std::filesystem::path& file, std::optional<Date> until = {});

}  // namespace shelfcast::data
