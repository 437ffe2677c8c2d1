#include "parallel/heartbeat_wire.h"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

namespace shelfcast::parallel {
namespace {

using nlohmann::json;

constexpr std::array kErrorKinds = {ErrorKind::input,         ErrorKind::data,    ErrorKind::io,
                                    ErrorKind::communication, ErrorKind::timeout, ErrorKind::internal};

// The enumerator with this number; a number beyond the last is foreign.
template <typename Enum>
Enum checked(const json& number, Enum last) {
  const int value = number.get<int>();
  if (value < 0 || value > static_cast<int>(last))
    throw Error(ErrorKind::communication,
                fmt::format("a heartbeat message holds the foreign number {}", value));
  return static_cast<Enum>(value);
}

json to_json(const Beat& beat) {
  return {{"rank", beat.rank},
          {"host", beat.host},
          {"phase", beat.phase},
          {"step", beat.step},
          {"operation", beat.operation},
          {"kind", static_cast<int>(beat.kind)},
          {"operation_seconds", beat.operation_seconds},
          {"progress", beat.progress},
          {"seconds_since_progress", beat.seconds_since_progress}};
}

Beat beat_from(const json& from) {
  return {.rank = from.at("rank"),
          .host = from.at("host"),
          .phase = from.at("phase"),
          .step = from.at("step"),
          .operation = from.at("operation"),
          .kind = checked(from.at("kind"), activity::Kind::other),
          .operation_seconds = from.at("operation_seconds"),
          .progress = from.at("progress"),
          .seconds_since_progress = from.at("seconds_since_progress")};
}

json to_json(const Table& table) {
  json lines = json::array();
  for (const TableLine& line : table.lines)
    lines.push_back({{"beat", to_json(line.beat)},
                     {"presence", static_cast<int>(line.presence)},
                     {"age_seconds", line.age_seconds}});
  return lines;
}

Table table_from(const json& from) {
  Table table;
  for (const json& line : from)
    table.lines.push_back({.beat = beat_from(line.at("beat")),
                           .presence = checked(line.at("presence"), Presence::gone),
                           .age_seconds = line.at("age_seconds")});
  return table;
}

json to_json(const Error& error) {
  return {{"kind", to_string(error.kind())},
          {"problem", error.problem()},
          {"why", error.why()},
          {"advice", error.advice()},
          {"rank", error.rank.value_or(-1)},
          {"step", error.step.value_or(-1)},
          {"host", error.host}};
}

Error error_from(const json& from) {
  ErrorKind kind = ErrorKind::internal;
  for (const ErrorKind known : kErrorKinds)
    if (from.at("kind") == to_string(known)) kind = known;
  Error error(kind, from.at("problem"), from.at("why"), from.at("advice"));
  if (const int rank = from.at("rank"); rank >= 0) error.rank = rank;
  if (const std::int64_t step = from.at("step"); step >= 0) error.step = step;
  error.host = from.at("host");
  return error;
}

// Which alternative of Message a line holds, and its content.
struct Encoder {
  json operator()(const Hello& m) const { return {{"hello", {{"rank", m.rank}, {"token", m.token}}}}; }
  json operator()(const Beat& m) const { return {{"beat", to_json(m)}}; }
  json operator()(const Question&) const { return {{"question", nullptr}}; }
  json operator()(const Table& m) const { return {{"table", to_json(m)}}; }
  json operator()(const Failure& m) const { return {{"failure", to_json(m.error)}}; }
  json operator()(const Goodbye&) const { return {{"goodbye", nullptr}}; }
};

Message message_from(const std::string& name, const json& content) {
  if (name == "hello") return Hello{.rank = content.at("rank"), .token = content.at("token")};
  if (name == "beat") return beat_from(content);
  if (name == "question") return Question{};
  if (name == "table") return table_from(content);
  if (name == "failure") return Failure{error_from(content)};
  if (name == "goodbye") return Goodbye{};
  throw Error(ErrorKind::communication, fmt::format("a heartbeat message of unknown kind \"{}\"", name));
}

}  // namespace

Beat beat_of(int rank, const std::string& host) {
  const activity::Snapshot shot = activity::snapshot(rank);
  Beat beat{.rank = rank,
            .host = host,
            .phase = shot.phase,
            .step = shot.step,
            .operation = {},
            .progress = shot.progress,
            .seconds_since_progress = shot.seconds_since_progress};
  if (!shot.operation) return beat;
  beat.operation = shot.operation->what;
  beat.kind = shot.operation->kind;
  beat.operation_seconds = shot.operation->seconds;
  return beat;
}

std::string encode(const Message& message) {
  return std::visit(Encoder(), message).dump(-1, ' ', false, json::error_handler_t::replace);
}

Message decode(std::string_view line) {
  try {
    const json parsed = json::parse(line);
    if (!parsed.is_object() || parsed.size() != 1)
      throw Error(ErrorKind::communication, "a heartbeat message is not one named content");
    return message_from(parsed.begin().key(), parsed.begin().value());
  } catch (const json::exception& error) {
    throw Error(ErrorKind::communication, "a heartbeat message cannot be read", error.what());
  }
}

}  // namespace shelfcast::parallel
