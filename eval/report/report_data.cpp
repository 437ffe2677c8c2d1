#include "eval/report/report_data.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <set>
#include <thread>

#include "base/error.h"
#include "base/files.h"
#include "base/shell.h"
#include "eval/combination.h"
#include "eval/comparisons.h"
#include "eval/report/main_table.h"
#include "eval/result_reader.h"

namespace shelfcast::eval {
namespace {

constexpr std::size_t kWorst = 10;

struct ReadRun {
  ReportRun run;
  BacktestFiles files;
  std::string model;  // as its own files call it
};

int threads() { return static_cast<int>(std::max(1U, std::thread::hardware_concurrency())); }

std::string folder_name(const std::filesystem::path& folder) {
  const std::filesystem::path whole = std::filesystem::absolute(folder).lexically_normal();
  return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
}

ReadRun read_run(const std::filesystem::path& folder) {
  BacktestFiles files = read_backtest(folder);
  if (files.result.models != 1)
    throw input_error(fmt::format("{} judges {} models", folder.string(), files.result.models),
                      "a run's backtest judges its own", "name the folder of a run");
  std::string model = files.result.forecasters.front().name;
  return {{folder_name(folder), folder, files.metadata, read_trainings(folder)},
          std::move(files),
          std::move(model)};
}

// A table of a run beside a baseline of the same name would show one of them.
void require_own_names(const std::vector<ReadRun>& runs) {
  for (const ReadRun& named : runs)
    for (const ReadRun& read : runs)
      for (std::size_t i = read.files.result.models; i < read.files.result.forecasters.size(); ++i)
        if (read.files.result.forecasters[i].name == named.run.name)
          throw input_error(fmt::format("{} is called as a baseline of {} is", named.run.folder.string(),
                                        read.run.folder.string()),
                            "a report tells forecasters apart by their names", "rename the run's folder");
}

// Folders of the same name are told apart by where they lie.
void make_names_differ(std::vector<ReadRun>& runs) {
  std::set<std::string> seen, twice;
  for (const ReadRun& read : runs)
    if (!seen.insert(read.run.name).second) twice.insert(read.run.name);
  for (ReadRun& read : runs)
    if (twice.contains(read.run.name)) read.run.name = read.run.folder.lexically_normal().string();
}

void require_same_protocol(const ReadRun& first, const ReadRun& other) {
  const std::vector<std::string> differences = protocol_differences(first.files.result, other.files.result);
  if (differences.empty()) return;
  throw input_error(fmt::format("{} and {} were judged by different protocols", first.run.folder.string(),
                                other.run.folder.string()),
                    fmt::format("{}", fmt::join(differences, "; ")),
                    "run their backtests alike, or report them apart");
}

std::vector<ReadRun> read_runs(const std::vector<std::filesystem::path>& folders) {
  if (folders.empty()) throw input_error("there is no run to report", "", "name the folder of one");
  std::vector<ReadRun> runs;
  std::set<std::filesystem::path> seen;
  for (const std::filesystem::path& folder : folders) {
    if (!seen.insert(std::filesystem::weakly_canonical(folder)).second)
      throw input_error(fmt::format("{} is named twice", folder.string()), "", "name each run once");
    runs.push_back(read_run(folder));
    require_same_protocol(runs.front(), runs.back());
  }
  require_own_names(runs);
  make_names_differ(runs);
  // The verdict is of the first: of a run that met baselines, where there is one.
  std::ranges::stable_sort(runs, {}, [](const ReadRun& read) {
    return std::pair(read.files.result.comparisons.empty(),
                     read.files.result.forecasters.front().overall.score("mae").value.value_or(HUGE_VAL));
  });
  return runs;
}

// A run's forecasters as its report calls them: the model by the run's name, in combinations, too.
std::string name_in_report(const ReadRun& read, const std::string& name) {
  if (name == read.model) return read.run.name;
  const std::string with_model = kWithModels + read.model;
  if (!combines_models(name) || !name.ends_with(with_model)) return name;
  return name.substr(0, name.size() - with_model.size()) + kWithModels + read.run.name;
}

void rename_forecasters(ReadRun& read) {
  BacktestResult& result = read.files.result;
  const auto rename = [&](std::string& name) { name = name_in_report(read, name); };
  for (ForecasterResult& forecaster : result.forecasters) rename(forecaster.name);
  for (auto* comparisons : {&result.comparisons, &result.category_comparisons})
    for (Comparison& c : *comparisons) rename(c.model), rename(c.baseline);
  for (std::string& member : result.combinations.members) rename(member);
  for (CombinationWeights& weights : result.combinations.weights) rename(weights.combination);
  for (Fan& fan : result.fans)
    for (Fan::Forecast& forecast : fan.forecasts) rename(forecast.name);
}

// The best run's result with the models of all runs before the baselines of all.
BacktestResult merge(std::vector<ReadRun>& runs) {
  for (ReadRun& read : runs) rename_forecasters(read);
  BacktestResult merged = runs.front().files.result;
  merged.models = runs.size();
  merged.forecasters.clear();
  merged.comparisons.clear();
  merged.category_comparisons.clear();
  merged.unfinished.clear();
  for (ReadRun& read : runs) {
    merged.forecasters.push_back(read.files.result.forecasters.front());
    const auto add = [](std::vector<Comparison>& to, const std::vector<Comparison>& from) {
      to.insert(to.end(), from.begin(), from.end());
    };
    add(merged.comparisons, read.files.result.comparisons);
    add(merged.category_comparisons, read.files.result.category_comparisons);
    for (UnfinishedTraining training : read.files.result.unfinished) {
      training.run =
          training.run == read.model ? read.run.name : fmt::format("{} of {}", training.run, read.run.name);
      merged.unfinished.push_back(std::move(training));
    }
  }
  for (const ReadRun& read : runs)
    for (std::size_t i = 1; i < read.files.result.forecasters.size(); ++i)
      if (std::ranges::find(merged.forecasters, read.files.result.forecasters[i].name,
                            &ForecasterResult::name) == merged.forecasters.end())
        merged.forecasters.push_back(read.files.result.forecasters[i]);
  return merged;
}

// WRMSSE compares where it adds up the same series with the same weights.
bool same_sums(const BacktestConfig& a, const BacktestConfig& b) {
  return a.hierarchy == b.hierarchy && a.price == b.price;
}

// Losses of all runs' models on the same series, the first run's order. Throws Error(data) where they differ.
std::vector<ModelLosses> read_all_losses(const std::vector<ReadRun>& runs) {
  std::vector<ModelLosses> losses(runs.size());
  std::vector<std::exception_ptr> failed(runs.size());
  std::vector<std::jthread> readers;
  const auto read_every = [&](std::size_t first, std::size_t apart) {
    for (std::size_t i = first; i < runs.size(); i += apart) {
      try {
        losses[i] = read_losses(runs[i].run.folder, runs[i].model, runs[i].files);
        losses[i].losses.name = runs[i].run.name;
        losses[i].losses.levels = runs[i].files.result.forecasters.front().levels;
        if (!same_sums(runs[i].files.result.config, runs.front().files.result.config))
          losses[i].losses.wrmsse.clear();
      } catch (...) {
        failed[i] = std::current_exception();
      }
    }
  };
  const auto apart = static_cast<std::size_t>(threads());
  for (std::size_t t = 1; t < apart; ++t) readers.emplace_back(read_every, t, apart);
  read_every(0, apart);
  readers.clear();  // joins
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (failed[i]) std::rethrow_exception(failed[i]);
    if (losses[i].series != losses.front().series || losses[i].categories != losses.front().categories)
      throw data_error(fmt::format("{} and {} do not name the same series", runs.front().run.folder.string(),
                                   runs[i].run.folder.string()),
                       "one of the two files series.csv was changed", "run the backtest again");
  }
  return losses;
}

enum class Categories { together, each };

Comparisons compare_models(const std::vector<ModelLosses>& losses, const BacktestResult& result,
                           Categories categories) {
  ComparisonPlan plan;
  plan.categories =
      categories == Categories::each ? losses.front().categories : std::vector<std::string>{"all"};
  plan.category_of = losses.front().category_of;
  for (const SeriesErrors& errors : losses.front().errors) plan.judged.push_back(errors.n > 0);
  plan.horizon = result.judgement.horizon;
  plan.resamples = result.config.bootstrap;
  plan.threads = threads();
  std::vector<LossRecord> records;
  for (const ModelLosses& model : losses) records.push_back(model.losses);
  return compare_losses(records, 1, plan);
}

std::vector<WorstSeries> worst_series(const ModelLosses& losses) {
  std::vector<std::size_t> order(losses.errors.size());
  std::iota(order.begin(), order.end(), 0U);
  const std::size_t kept = std::min(kWorst, order.size());
  std::ranges::partial_sort(order, order.begin() + static_cast<std::ptrdiff_t>(kept), std::greater<>{},
                            [&](std::size_t i) { return losses.errors[i].absolute_error; });
  double all = 0.0;
  for (const SeriesErrors& errors : losses.errors) all += errors.absolute_error;
  std::vector<WorstSeries> worst;
  for (std::size_t k = 0; k < kept; ++k) {
    const SeriesErrors& errors = losses.errors[order[k]];
    if (errors.absolute_error > 0)
      worst.push_back({losses.series[order[k]], losses.categories[losses.category_of[order[k]]], errors,
                       errors.absolute_error / all});
  }
  return worst;
}

// Shipped tasks are looked at only where the number of series is theirs, so that reports of other data are
// not full of tasks that have nothing to do with them; those of a file that was asked for must match.
std::vector<PublishedTask> find_published(const BacktestResult& result, const std::filesystem::path& file) {
  std::vector<PublishedTask> tasks;
  for (PublishedTask& task : published_tasks(shipped_published_rows(), "the shipped file", result))
    if (!task.mismatch.starts_with("series ")) tasks.push_back(std::move(task));
  if (file.empty()) return tasks;
  for (PublishedTask& task : published_tasks(read_file(file), file.string(), result)) {
    if (!task.mismatch.empty())
      throw input_error(fmt::format("the published rows of {} may not stand beside this backtest", task.name),
                        task.mismatch, "judge by the published protocol, or leave the file out");
    tasks.push_back(std::move(task));
  }
  return tasks;
}

}  // namespace

ReportData gather_report(const std::vector<std::filesystem::path>& folders,
                         const std::filesystem::path& published) {
  std::vector<ReadRun> runs = read_runs(folders);
  ReportData data;
  const std::vector<ModelLosses> losses = read_all_losses(runs);
  data.result = merge(runs);
  data.title = runs.size() == 1 ? runs.front().run.metadata.title
                                : fmt::format("{} runs on {}", runs.size(), data.result.corpus.name);
  if (runs.size() > 1) data.between = compare_models(losses, data.result, Categories::together).overall;
  data.worst = worst_series(losses.front());
  data.published = find_published(data.result, published);
  for (ReadRun& read : runs) data.runs.push_back(std::move(read.run));
  return data;
}

std::string training_name(const ReportRun& run, const TrainingRecord& training) {
  return training.name.empty() ? run.name : fmt::format("{} in {}", training.name, run.name);
}

std::string report_command(const ReportData& data) {
  std::string command = "shelfcast report";
  for (const ReportRun& run : data.runs) command += ' ' + shell_word(run.folder.string());
  return command;
}

RunComparison compare_runs(const std::filesystem::path& first, const std::filesystem::path& second) {
  std::vector<ReadRun> runs = read_runs({first, second});
  // read_runs() puts the better one first; here the first named is compared with the second.
  if (std::filesystem::weakly_canonical(runs.front().run.folder) != std::filesystem::weakly_canonical(first))
    std::swap(runs.front(), runs.back());
  Comparisons comparisons =
      compare_models(read_all_losses(runs), runs.front().files.result, Categories::each);
  return {runs.front().run.name, runs.back().run.name, std::move(comparisons.overall),
          std::move(comparisons.by_category)};
}

}  // namespace shelfcast::eval
