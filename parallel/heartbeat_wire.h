// What ranks tell each other beside their work, as lines of JSON: readable in a network dump, and fast enough
// for one a second.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/activity.h"
#include "base/error.h"

namespace shelfcast::parallel {

// What one rank is doing, as it says itself.
struct Beat {
  int rank = 0;
  std::string host, phase;
  std::int64_t step = -1;
  std::string operation;  // empty: none, it computes
  activity::Kind kind = activity::Kind::other;
  double operation_seconds = 0.0;
  std::uint64_t progress = 0;
  double seconds_since_progress = 0.0;
};

// What `rank` of this process is doing now.
Beat beat_of(int rank, const std::string& host);

// How far a rank has come with its heartbeats.
enum class Presence {
  unknown,    // never heard of: it could not connect, or not yet
  connected,  // its heartbeats come, or came and stopped without a word
  ended,      // said goodbye
  gone,       // its process ended without a goodbye
};

// One line of rank 0's table: the last beat of a rank and its age when it was sent.
struct TableLine {
  Beat beat;
  Presence presence = Presence::unknown;
  double age_seconds = 0.0;
};

// First message each way: proves with the run's token that both ends belong to the run.
struct Hello {
  int rank = 0;
  std::string token;
};
struct Question {};  // to rank 0: send me the table
struct Table {
  std::vector<TableLine> lines;
};
struct Failure {
  Error error;
};
struct Goodbye {};

using Message = std::variant<Hello, Beat, Question, Table, Failure, Goodbye>;

// One line, without its end. Bytes that are not UTF-8 are replaced.
std::string encode(const Message& message);
// Throws Error(communication) on anything that encode() does not make.
Message decode(std::string_view line);

}  // namespace shelfcast::parallel
