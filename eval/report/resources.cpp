#include "eval/report/resources.h"

#include <fmt/format.h>

#include "eval/report/text.h"

namespace shelfcast::eval {
namespace {

constexpr const char* kUnknown = "–";

// "1.5 GPU hours"; of cores that are a rank's own: "0.2 rank hours".
std::string device_hours(double seconds, bool on_gpus) {
  const double hours = seconds / 3600.0;
  return fmt::format("{} {} hours", hours < 1000.0 ? fmt::format("{:.3g}", hours) : format_count(hours),
                     on_gpus ? "GPU" : "rank");
}

std::vector<std::string> training_cells(const TrainingRecord& training) {
  return {format_count(static_cast<double>(training.steps)), format_duration(training.seconds),
          device_hours(training.device_seconds, training.on_gpus), format_count(training.windows_per_second),
          format_bytes(training.peak_memory_bytes)};
}

// What the trainings behind a run took together.
std::vector<std::string> together(const std::vector<TrainingRecord>& trainings) {
  double gpus = 0.0, ranks = 0.0;
  for (const TrainingRecord& training : trainings)
    (training.on_gpus ? gpus : ranks) += training.device_seconds;
  std::string hours = gpus > 0.0 ? device_hours(gpus, true) : "";
  if (ranks > 0.0) hours += (hours.empty() ? "" : ", ") + device_hours(ranks, false);
  return {kUnknown, kUnknown, hours.empty() ? kUnknown : hours, kUnknown, kUnknown};
}

}  // namespace

ResourceTable resource_table(const ReportData& data) {
  ResourceTable table{{"run", "training steps", "training time", "device hours", "windows/s",
                       "peak memory of rank 0", "backtest time", "ranks", "peak memory of rank 0"},
                      {}};
  const auto add = [&table](const std::string& name, const std::vector<std::string>& training,
                            const std::vector<std::string>& backtest) {
    std::vector<std::string>& row = table.rows.emplace_back();
    row.push_back(name);
    row.insert(row.end(), training.begin(), training.end());
    row.insert(row.end(), backtest.begin(), backtest.end());
  };
  for (const ReportRun& run : data.runs) {
    const bool own = run.trainings.size() == 1 && run.trainings.front().name.empty();
    add(run.name, own ? training_cells(run.trainings.front()) : together(run.trainings),
        {format_duration(run.metadata.seconds), std::to_string(run.metadata.ranks),
         format_bytes(static_cast<double>(run.metadata.peak_memory_bytes))});
    for (const TrainingRecord& training : run.trainings)
      if (!own) add(training_name(run, training), training_cells(training), {kUnknown, kUnknown, kUnknown});
  }
  return table;
}

}  // namespace shelfcast::eval
