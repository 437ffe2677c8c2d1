// What must outlive a loss of power.
#pragma once

#include <filesystem>

namespace shelfcast {

// Makes the contents of a file, or the names in a folder, durable. Returns errno or 0.
int flush_to_disk(const std::filesystem::path& path);

}  // namespace shelfcast
