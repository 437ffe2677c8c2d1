// What all fuzz targets share: a folder in memory that the reader under test finds its input in.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/error.h"

namespace shelfcast::fuzz {

// One folder a process, as the readers take paths. Stays behind only when the target crashes.
class InputFolder {
 public:
  InputFolder()
      : path_("/dev/shm/shelfcast-fuzz-" + std::to_string(::getpid())) {  // NOLINT(concurrency-mt-unsafe)
    std::filesystem::create_directories(path_);
  }
  ~InputFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  InputFolder(const InputFolder&) = delete;
  InputFolder& operator=(const InputFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  void write(const char* name, const std::uint8_t* bytes, std::size_t size) const {
    std::FILE* file = std::fopen((path_ / name).c_str(), "wb");
    if (file == nullptr || std::fwrite(bytes, 1, size, file) != size) std::abort();
    std::fclose(file);
  }

 private:
  std::filesystem::path path_;
};

// Runs a reader, which may refuse its input only with the errors it promises: input, data or io. Anything
// else (another exception, an internal error, a sanitizer's report) stops the fuzzer.
template <typename Read>
void expect_read_or_refused(const Read& read) {
  try {
    read();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::internal) throw;
  }
}

}  // namespace shelfcast::fuzz
