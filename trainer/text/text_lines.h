// Texts in a file, one a line.
#pragma once

#include <string>
#include <vector>

namespace shelfcast::trainer {

// The lines without their ends (LF or CRLF); the last may lack one. Throws Error(io) when it cannot be read.
std::vector<std::string> read_text_lines(const std::string& path);

}  // namespace shelfcast::trainer
