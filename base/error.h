// Errors: one exception type whose message says what is wrong, why, and what to do about it.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace shelfcast {

// Who has to act on an error.
enum class ErrorKind {
  input,          // the user's command line, recipe or table: fix it and run again
  data,           // a file that should be sound is not (truncated, foreign, damaged)
  io,             // the operating system refused (no space, no permission, lock)
  communication,  // ranks could not talk
  timeout,        // something did not arrive within its deadline
  internal,       // a bug of ours
};

// "input", "data", ...; stable, used in logs and post-mortem files.
const char* to_string(ErrorKind kind);

// The one exception of this project. what() reads "problem (why) - advice"; parts left empty are left out.
// Rank, host and step are filled in by whoever knows them (`with_place`), at most once.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, std::string problem, std::string why = {}, std::string advice = {});

  ErrorKind kind() const { return kind_; }
  const std::string& problem() const { return problem_; }
  const std::string& why() const { return why_; }
  const std::string& advice() const { return advice_; }

  std::optional<int> rank;
  std::optional<std::int64_t> step;
  std::string host;

 private:
  ErrorKind kind_;
  std::string problem_, why_, advice_;
};

// Short forms for the two commonest kinds.
inline Error input_error(std::string problem, std::string why = {}, std::string advice = {}) {
  return Error(ErrorKind::input, std::move(problem), std::move(why), std::move(advice));
}
inline Error data_error(std::string problem, std::string why = {}, std::string advice = {}) {
  return Error(ErrorKind::data, std::move(problem), std::move(why), std::move(advice));
}

// An I/O error that ends with the operating system's words for `error_number` (errno).
Error io_error(std::string problem, int error_number, std::string advice = {});

// A precondition inside our own code: failing it is a bug of ours, never the user's.
#define SHELFCAST_ASSERT(condition)                                                                    \
  do {                                                                                                 \
    if (!(condition))                                                                                  \
      throw ::shelfcast::Error(::shelfcast::ErrorKind::internal, "internal check failed: " #condition, \
                               fmt::format("{}:{}", __FILE__, __LINE__),                               \
                               "please report this with the command and its log");                     \
  } while (false)

// The candidate nearest to `word` by edit distance; where none is near enough to be a likely misspelling, the
// shortest that it is a part of, or that is a part of it; or "".
std::string nearest_name(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace shelfcast
