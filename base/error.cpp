#include "base/error.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <system_error>

namespace shelfcast {
namespace {

std::string compose(const std::string& problem, const std::string& why, const std::string& advice) {
  std::string text = problem;
  if (!why.empty()) text += " (" + why + ")";
  if (!advice.empty()) text += " - " + advice;
  return text;
}

// Levenshtein distance, one row at a time.
std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, substituted});
    }
  }
  return row.back();
}

}  // namespace

const char* to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::input:
      return "input";
    case ErrorKind::data:
      return "data";
    case ErrorKind::io:
      return "io";
    case ErrorKind::communication:
      return "communication";
    case ErrorKind::timeout:
      return "timeout";
    case ErrorKind::internal:
      return "internal";
  }
  return "internal";
}

Error::Error(ErrorKind kind, std::string problem, std::string why, std::string advice)
    : std::runtime_error(compose(problem, why, advice)),
      kind_(kind),
      problem_(std::move(problem)),
      why_(std::move(why)),
      advice_(std::move(advice)) {}

Error io_error(std::string problem, int error_number, std::string advice) {
  if (advice.empty() && error_number == ENOSPC) advice = "free some space or write to another disk";
  return Error(ErrorKind::io, std::move(problem), std::generic_category().message(error_number),
               std::move(advice));
}

// Letters that a part of a name needs to say which.
constexpr std::size_t kLeastPart = 4;

std::string nearest_name(const std::string& word, const std::vector<std::string>& candidates) {
  std::string best;
  // A third of the letters wrong is about where a guess stops helping.
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  if (!best.empty() || word.size() < kLeastPart) return best;
  // A name cut short, or one with something before or behind it: the shortest that has so much in common.
  for (const std::string& candidate : candidates) {
    const bool part = candidate.find(word) != std::string::npos ||
                      (candidate.size() >= kLeastPart && word.find(candidate) != std::string::npos);
    if (part && (best.empty() || candidate.size() < best.size())) best = candidate;
  }
  return best;
}

}  // namespace shelfcast
