// Which corpus a run was begun on: it goes on with that one alone.
#pragma once

#include <filesystem>
#include <string>

#include "trainer/run/run_folder.h"

namespace shelfcast::trainer {

// Notes it in the folder. Throws Error(io).
void note_corpus(const RunFolder& folder, const std::string& digest);

// Throws Error(data) unless that is `digest`, of the corpus that lies in `corpus` now. What a run of an older
// version began with is not known.
void check_corpus(const RunFolder& folder, const std::filesystem::path& corpus, const std::string& digest);

}  // namespace shelfcast::trainer
