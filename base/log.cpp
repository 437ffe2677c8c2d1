#include "base/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <ctime>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/activity.h"
#include "base/error.h"

namespace shelfcast::log {
namespace {

enum class Level { info, warning, error };

const char* to_string(Level level) {
  switch (level) {
    case Level::info:
      return "info";
    case Level::warning:
      return "warning";
    case Level::error:
      return "error";
  }
  return "info";
}

// One of the project's two globals (activity.cpp has the other): who we are and where lines go.
struct State {
  Identity identity;
  std::mutex mutex;  // guards what follows
  int file = -1;
  bool file_failed = false;
};

State& state() {
  static State* const state = new State;  // never destroyed: other destructors may still log
  return *state;
}

thread_local const Identity* thread_identity = nullptr;

// "2026-01-31T08:15:30.123Z"
std::string utc_now() {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto since_epoch = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch());
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1,
                     utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, since_epoch.count() % 1000);
}

// One write a line, so that lines of several ranks on one terminal or pipe stay whole. Returns errno or 0.
int write_line(int descriptor, std::string line) {
  line += '\n';
  std::size_t written = 0;
  while (written < line.size()) {
    const ssize_t count = ::write(descriptor, line.data() + written, line.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    written += static_cast<std::size_t>(count);
  }
  return 0;
}

std::string as_json(Level level, const Identity& who, const std::string& message) {
  const nlohmann::ordered_json line = {{"time", utc_now()},
                                       {"level", to_string(level)},
                                       {"rank", who.rank},
                                       {"host", who.host},
                                       {"message", message}};
  // Messages may quote damaged files: bytes that are not UTF-8 are replaced, never thrown over.
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string with_place(const Identity& who, const std::string& message) {
  if (who.host.empty()) return fmt::format("[rank {}] {}", who.rank, message);
  return fmt::format("[rank {} on {}] {}", who.rank, who.host, message);
}

// `printed` is empty when this rank prints nothing.
void write(Level level, const std::string& message, const std::string& printed) {
  const Identity& who = identity();
  State& s = state();
  const std::lock_guard lock(s.mutex);
  if (!printed.empty()) write_line(level == Level::info ? STDOUT_FILENO : STDERR_FILENO, printed);
  if (s.file < 0) return;
  const int failed = write_line(s.file, as_json(level, who, message));
  if (failed != 0 && !std::exchange(s.file_failed, true))
    write_line(STDERR_FILENO, with_place(who, io_error("warning: cannot write the log file", failed).what()));
}

void complain(Level level, const std::string& message) {
  const Identity& who = identity();
  const std::string text = fmt::format("{}: {}", to_string(level), message);
  write(level, message, who.size > 1 ? with_place(who, text) : text);
}

}  // namespace

void set_identity(Identity identity) { state().identity = std::move(identity); }

const Identity& identity() { return thread_identity != nullptr ? *thread_identity : state().identity; }

ThreadIdentity::ThreadIdentity(Identity identity)
    : identity_(std::move(identity)), outer_(std::exchange(thread_identity, &identity_)) {}

ThreadIdentity::~ThreadIdentity() { thread_identity = outer_; }

void open_file(const std::filesystem::path& path) {
  const activity::Operation watched(activity::Kind::file, path.native());
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (file < 0) throw io_error("cannot write the log file " + path.string(), errno);
  close_file();
  const std::lock_guard lock(state().mutex);
  state().file = file;
}

void close_file() {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  if (s.file >= 0) ::close(std::exchange(s.file, -1));
  s.file_failed = false;
}

void all(const std::string& message) { write(Level::info, message, identity().rank == 0 ? message : ""); }

void this_rank(const std::string& message) { write(Level::info, message, with_place(identity(), message)); }

void warn(const std::string& message) { complain(Level::warning, message); }

void error(const std::string& message) { complain(Level::error, message); }

}  // namespace shelfcast::log
