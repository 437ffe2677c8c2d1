#include "trainer/sweep/run_progress.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"
#include "base/files.h"
#include "trainer/sweep/sweep_state.h"

namespace shelfcast::trainer {
namespace {

using nlohmann::json;

std::filesystem::path metrics_path(const std::filesystem::path& run) { return run / "metrics.jsonl"; }

// JSON has no NaN: a metric that was not finite is null.
double number_or_nan(const json& value) {
  return value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN();
}

std::vector<std::string> keys_of(const std::string& text) {
  std::vector<std::string> keys;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const json object = json::parse(line, nullptr, false);
    if (!object.is_object()) continue;
    for (const auto& [key, value] : object.items())
      if ((value.is_number() || value.is_null()) && std::find(keys.begin(), keys.end(), key) == keys.end())
        keys.push_back(key);
  }
  return keys;
}

}  // namespace

std::optional<TrainState> saved_state(const std::filesystem::path& run) {
  const Checkpoints checkpoints(run / "checkpoints");
  const std::optional<std::int64_t> newest = checkpoints.newest_valid();
  if (!newest) return std::nullopt;
  return checkpoints.read_state(*newest);
}

double best_metric(const std::filesystem::path& run, const std::string& metric, Goal goal,
                   std::int64_t step) {
  const std::string text = read_file(metrics_path(run));
  const std::string mark = "\"" + metric + "\"";
  double best = std::numeric_limits<double>::quiet_NaN();
  bool found = false;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.find(mark) == std::string::npos) continue;
    const json object = json::parse(line, nullptr, false);
    if (!object.is_object() || !object.contains(metric) || object.value("step", std::int64_t{0}) > step)
      continue;
    found = true;
    if (const double value = number_or_nan(object.at(metric)); better(value, best, goal)) best = value;
  }
  if (found) return best;
  const std::vector<std::string> keys = keys_of(text);
  const std::string near = nearest_name(metric, keys);
  throw data_error(
      fmt::format("{} has no \"{}\"", metrics_path(run).string(), metric),
      fmt::format("it has {}", fmt::join(keys, ", ")),
      near.empty() ? "name one of them as the sweep's metric" : fmt::format("did you mean \"{}\"?", near));
}

std::optional<LiveProgress> live_progress(const std::filesystem::path& run, const std::string& metric) {
  constexpr std::int64_t kTail = 16384;
  const std::filesystem::path path = metrics_path(run);
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  std::ifstream file(path);
  file.seekg(std::max<std::int64_t>(0, status.st_size - kTail));
  LiveProgress progress;
  progress.silent_seconds = std::max(
      0.0, std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count() -
               static_cast<double>(status.st_mtime));
  double first_time = 0;
  std::int64_t first_step = 0;
  for (std::string line; std::getline(file, line);) {
    const json object = json::parse(line, nullptr, false);
    if (!object.is_object()) continue;  // the first one is cut, and the last one may be
    progress.step = std::max(progress.step, object.value("step", std::int64_t{0}));
    if (object.contains(metric)) progress.metric = number_or_nan(object.at(metric));
    const double time = object.value("time", 0.0);
    if (time == 0) continue;
    if (first_time == 0) {
      first_time = time;
      first_step = progress.step;
    } else if (progress.step > first_step) {
      progress.seconds_per_step = (time - first_time) / static_cast<double>(progress.step - first_step);
    }
  }
  return progress;
}

}  // namespace shelfcast::trainer
