#include "trainer/run/metrics_log.h"

#include <fmt/format.h>

#include <cerrno>
#include <chrono>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string_view>

#include "base/activity.h"
#include "base/error.h"
#include "base/files.h"

namespace shelfcast::trainer {
namespace {

// The lines of the file whose step is at most `step`; a torn last line is dropped.
std::string lines_until(const std::filesystem::path& path, std::int64_t step) {
  std::istringstream lines(read_file(path));
  std::string line, kept;
  while (std::getline(lines, line)) {
    const nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
    if (json.is_object() && json.value("step", std::int64_t{0}) <= step) kept += line + "\n";
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

MetricsLog::MetricsLog(const std::filesystem::path& path, std::int64_t step) : path_(path) {
  if (std::filesystem::exists(path)) write_file_atomically(path, lines_until(path, step));
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

}  // namespace shelfcast::trainer
