#include "trainer/run/metrics_log.h"

#include <fmt/format.h>

#include <cerrno>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string_view>

#include "base/activity.h"
#include "base/durable.h"
#include "base/error.h"
#include "base/files.h"

namespace shelfcast::trainer {
namespace {

// A line's step; nullopt for what is no line of ours (a torn last one).
std::optional<std::int64_t> step_of(const nlohmann::json& line) {
  if (!line.is_object()) return std::nullopt;
  const auto found = line.find("step");
  return found != line.end() && found->is_number() ? std::optional(found->get<std::int64_t>()) : std::nullopt;
}

std::string kept_lines(const std::filesystem::path& path, const MetricsLog::Kept& wanted) {
  std::istringstream lines(read_file(path));
  std::string line, kept;
  while (std::getline(lines, line)) {
    const nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
    const std::optional<std::int64_t> step = step_of(json);
    if (!step || *step > wanted.step) continue;
    if (*step == wanted.step && !wanted.validation && json.contains("validation_loss")) continue;
    kept += line + "\n";
  }
  return kept;
}

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// The numbers of a line under their tags, but for those that say when it was and how many were at work.
std::vector<std::pair<std::string, float>> scalars_of(const nlohmann::json& line) {
  constexpr std::string_view kValidation = "validation_";
  std::vector<std::pair<std::string, float>> scalars;
  for (const auto& [key, value] : line.items()) {
    if (!value.is_number() || key == "step" || key == "time" || key == "ranks") continue;
    const bool validation = key.starts_with(kValidation);
    scalars.emplace_back(validation ? fmt::format("validation/{}", key.substr(kValidation.size()))
                                    : fmt::format("train/{}", key),
                         value.get<float>());
  }
  return scalars;
}

}  // namespace

MetricsLog::MetricsLog(const std::filesystem::path& path, Kept kept) : path_(path) {
  if (std::filesystem::exists(path)) write_file_atomically(path, kept_lines(path, kept));
  const activity::Operation watched(activity::Kind::file, path.native());
  file_.open(path, std::ios::app);
  if (!file_) throw io_error(fmt::format("cannot write {}", path.string()), errno);
}

void MetricsLog::write_events(const std::filesystem::path& folder, std::int64_t step) {
  events_ = std::make_unique<EventFile>(folder, step + 1, now());
}

void MetricsLog::write(const nlohmann::json& line) {
  const activity::Operation watched(activity::Kind::file, path_.native());
  file_ << line.dump() << '\n' << std::flush;
  if (!file_) throw io_error(fmt::format("cannot write {}", path_.string()), errno);
  if (events_)
    events_->write(line.value("time", now()), line.value("step", std::int64_t{0}), scalars_of(line));
}

void MetricsLog::make_durable() const {
  if (const int failed = flush_to_disk(path_); failed != 0)
    throw io_error(fmt::format("cannot write {}", path_.string()), failed);
}

}  // namespace shelfcast::trainer
