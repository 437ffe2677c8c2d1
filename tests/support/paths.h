// Where tests find the sources, the programs and the shared real data.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>

namespace shelfcast::testing {

inline std::filesystem::path source_dir() { return SHELFCAST_SOURCE_DIR; }

// The folder of the built programs.
inline std::filesystem::path bin_dir() { return SHELFCAST_BIN_DIR; }

// The files that generators of tests/golden wrote: $SHELFCAST_GOLDEN (others, of another seed: make parity)
// or those of the sources.
inline std::filesystem::path golden_dir() {
  const char* named = std::getenv("SHELFCAST_GOLDEN");
  return named != nullptr ? std::filesystem::path(named) : source_dir() / "tests" / "golden";
}

// The folder with data/ and other things too large for the repository: $SHELFCAST_SHARED or ../shared beside
// the sources; nothing when absent, and then the test skips itself:
//
//   const auto shared = shared_dir();
//   if (!shared) GTEST_SKIP() << "no shared data here";
inline std::optional<std::filesystem::path> shared_dir() {
  const char* named = std::getenv("SHELFCAST_SHARED");
  const std::filesystem::path folder = named != nullptr ? named : source_dir().parent_path() / "shared";
  if (!std::filesystem::is_directory(folder / "data")) return std::nullopt;
  return folder;
}

}  // namespace shelfcast::testing
