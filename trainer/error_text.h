// What a user reads about an exception, whoever threw it.
#pragma once

#include <exception>
#include <string>

namespace shelfcast::trainer {

// what(), but for exceptions of libraries: LibTorch's without the addresses of its functions, and a sentence
// where there was not enough memory.
std::string error_text(const std::exception& error);

}  // namespace shelfcast::trainer
