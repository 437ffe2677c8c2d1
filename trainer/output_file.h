// A file that a command writes when its work is done.
#pragma once

#include <filesystem>

namespace shelfcast::trainer {

// Before the work: throws Error(input) where `out` would replace the file that is read, or lies in a folder
// that is not there.
void check_output(const std::filesystem::path& out, const std::filesystem::path& input);

}  // namespace shelfcast::trainer
