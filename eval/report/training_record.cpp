#include "eval/report/training_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "base/error.h"
#include "base/files.h"
#include "base/json_file.h"

namespace shelfcast::eval {
namespace {

constexpr std::size_t kPoints = 250;
constexpr double kPause = 600.0;  // seconds between lines that a running training does not take

// Every so many points, and the last one.
void thin(Curve& curve) {
  const std::size_t every = curve.x.size() / kPoints + 1;
  Curve kept{curve.name, {}, {}};
  for (std::size_t i = 0; i < curve.x.size(); ++i) {
    if (i % every != 0 && i + 1 != curve.x.size()) continue;
    kept.x.push_back(curve.x[i]);
    kept.y.push_back(curve.y[i]);
  }
  curve = std::move(kept);
}

double median(std::vector<double> values) {
  if (values.empty()) return 0.0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

nlohmann::json to_json(const Curve& curve) { return {{"step", curve.x}, {"value", curve.y}}; }

Curve curve_of(const nlohmann::json& json) {
  return {{}, json.at("step").get<std::vector<double>>(), json.at("value").get<std::vector<double>>()};
}

std::filesystem::path kept_trainings(const std::filesystem::path& run_folder) {
  return run_folder / "backtest" / "trainings.json";
}

}  // namespace

std::optional<TrainingRecord> read_training(const std::filesystem::path& run_folder) {
  const std::filesystem::path path = run_folder / "metrics.jsonl";
  if (!std::filesystem::exists(path)) return std::nullopt;
  TrainingRecord record;
  std::vector<double> speeds;
  const std::filesystem::path environment_path = run_folder / "environment.json";
  const nlohmann::json environment = std::filesystem::exists(environment_path)
                                         ? read_json(environment_path, "damaged file")
                                         : nlohmann::json::object();
  // Of the first start; lines say how many ranks there were then, those of older versions do not.
  const double first_ranks = environment.value("ranks", 1.0);
  record.on_gpus = environment.value("device", "cpu") != "cpu";
  double last_time = 0.0;
  std::istringstream lines(read_file(path));
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    const nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
    if (!json.is_object() || !json.contains("step"))
      throw data_error(fmt::format("line {} of {} is damaged", number, path.string()),
                       "it is no line of a training log",
                       "go on with the run (--resume), which drops torn lines, or restore the file");
    const double step = json.at("step");
    record.steps = std::max(record.steps, static_cast<std::int64_t>(step));
    const auto add = [&](const char* key, Curve& curve) {
      if (!json.contains(key) || !json.at(key).is_number()) return;
      curve.x.push_back(step);
      curve.y.push_back(json.at(key));
    };
    add("loss", record.loss);
    add("validation_loss", record.validation);
    if (json.contains("windows_per_second")) speeds.push_back(json.at("windows_per_second"));
    record.peak_memory_bytes = std::max(record.peak_memory_bytes, json.value("peak_memory_bytes", 0.0));
    if (!json.contains("time")) continue;
    const double time = json.at("time");
    if (last_time > 0 && time - last_time < kPause) {
      record.seconds += time - last_time;
      record.device_seconds += (time - last_time) * json.value("ranks", first_ranks);
    }
    last_time = time;
  }
  record.windows_per_second = median(std::move(speeds));
  thin(record.loss);
  thin(record.validation);
  return record;
}

void write_trainings(const std::vector<TrainingRecord>& trainings, const std::filesystem::path& run_folder) {
  const std::filesystem::path path = kept_trainings(run_folder);
  if (trainings.empty()) {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
    return;
  }
  nlohmann::json all = nlohmann::json::array();
  for (const TrainingRecord& training : trainings)
    all.push_back({{"name", training.name},
                   {"steps", training.steps},
                   {"seconds", training.seconds},
                   {"device_seconds", training.device_seconds},
                   {"on_gpus", training.on_gpus},
                   {"windows_per_second", training.windows_per_second},
                   {"peak_memory_bytes", training.peak_memory_bytes},
                   {"loss", to_json(training.loss)},
                   {"validation_loss", to_json(training.validation)}});
  write_file_atomically(path, all.dump() + "\n");
}

std::vector<TrainingRecord> read_trainings(const std::filesystem::path& run_folder) {
  const std::filesystem::path path = kept_trainings(run_folder);
  std::vector<TrainingRecord> trainings;
  if (!std::filesystem::exists(path)) {
    if (std::optional<TrainingRecord> own = read_training(run_folder)) trainings.push_back(std::move(*own));
    return trainings;
  }
  try {
    for (const nlohmann::json& json : read_json(path, "damaged file"))
      trainings.push_back({json.at("name"), curve_of(json.at("loss")), curve_of(json.at("validation_loss")),
                           json.at("steps"), json.at("seconds"), json.at("device_seconds"),
                           json.at("on_gpus"), json.at("windows_per_second"), json.at("peak_memory_bytes")});
  } catch (const nlohmann::json::exception& error) {
    throw data_error(fmt::format("{} cannot be read", path.string()), error.what(), "run the backtest again");
  }
  return trainings;
}

}  // namespace shelfcast::eval
