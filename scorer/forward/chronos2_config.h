// The published config.json of Chronos-2.
#pragma once

#include <filesystem>

#include "scorer/forward/tower_config.h"

namespace shelfcast::scorer {

// Keys that the package has defaults for may be missing. Throws Error(io), or Error(data) naming the file and
// the field when it describes another kind of model or an impossible one.
TowerConfig read_chronos2_config(const std::filesystem::path& path);

// What is wrong with it beyond fields out of range, "" = nothing: "d_kv is odd: rotary positions turn pairs".
std::string problem_of_chronos2(const TowerConfig& config);

}  // namespace shelfcast::scorer
