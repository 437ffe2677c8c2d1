// One cell of a CSV file to be written (RFC 4180).
#pragma once

#include <string>

namespace shelfcast {

// Quoted when it has to be.
std::string csv_cell(const std::string& text);

}  // namespace shelfcast
