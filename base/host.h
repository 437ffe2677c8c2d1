#pragma once

#include <string>

namespace shelfcast {

// The name of this machine, or "unknown".
std::string host_name();

}  // namespace shelfcast
