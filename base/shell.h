// Words of a command that a person copies into a shell.
#pragma once

#include <string>

namespace shelfcast {

// `word` as a shell reads it back: quoted where it has to be.
std::string shell_word(const std::string& word);

}  // namespace shelfcast
