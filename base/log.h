// Logging with two intents: something every rank does (rank 0 prints it once), and something this rank alone
// met.
#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <string>

namespace shelfcast::log {

// Who this process is; set once at program start, before other threads run. Until then: rank 0 of 1.
struct Identity {
  int rank = 0;
  int size = 1;
  std::string host;
};
void set_identity(Identity identity);
// The calling thread's identity where there is a ThreadIdentity, else the process's.
const Identity& identity();

// While it lives, the calling thread logs as another rank: ranks that are threads of one process print what
// all ranks do once, like ranks that are processes.
class ThreadIdentity {
 public:
  explicit ThreadIdentity(Identity identity);
  ~ThreadIdentity();
  ThreadIdentity(const ThreadIdentity&) = delete;
  ThreadIdentity& operator=(const ThreadIdentity&) = delete;

 private:
  Identity identity_;
  const Identity* outer_;
};

// Also write every line of this rank as JSON lines {"time", "level", "rank", "host", "message"} to `path`,
// appending. Throws Error(io) when it cannot be opened; a disk that fills up later is reported once on
// stderr.
void open_file(const std::filesystem::path& path);
void close_file();

// Lines are written whole, from any thread. All ranks do this; rank 0 prints "message" to stdout.
void all(const std::string& message);
// This rank only; printed to stdout as "[rank 3 on n17] message".
void this_rank(const std::string& message);
// A warning of this rank (stderr, with rank and host when there is more than one rank).
void warn(const std::string& message);
// An error of this rank (stderr).
void error(const std::string& message);

template <typename... Args>
void all(fmt::format_string<Args...> text, Args&&... args) {
  all(fmt::format(text, std::forward<Args>(args)...));
}
template <typename... Args>
void warn(fmt::format_string<Args...> text, Args&&... args) {
  warn(fmt::format(text, std::forward<Args>(args)...));
}

}  // namespace shelfcast::log
