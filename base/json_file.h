// JSON files that are read whole.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace shelfcast {

// Throws Error(io) when the file cannot be read, Error(data) naming it when it is not JSON; `why` is the
// likely cause.
nlohmann::json read_json(const std::filesystem::path& path,
                         const std::string& why = "it is damaged or foreign");

}  // namespace shelfcast
