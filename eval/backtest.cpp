#include "eval/backtest.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <thread>

#include "base/error.h"
#include "base/progress.h"
#include "base/random.h"
#include "eval/baselines/learned/learned.h"
#include "eval/baselines/statistical.h"
#include "eval/fans.h"
#include "eval/groups.h"
#include "eval/judge.h"
#include "eval/origins.h"

namespace shelfcast::eval {
namespace {

using parallel::Communicator;

// Batches a rank judges between two exchanges: bounds what is held back for the others, and keeps ranks of
// unequal speed from waiting longer than a step's deadline.
constexpr std::int64_t kBatchesPerExchange = 16;

std::vector<std::vector<double>> gather_sums(const std::vector<double>& mine, Communicator& communicator) {
  std::vector<std::vector<double>> all;
  for (const std::vector<std::byte>& bytes :
       communicator.all_gather_bytes(std::as_bytes(std::span(mine)), "backtest error sums")) {
    all.emplace_back(bytes.size() / sizeof(double));
    if (!bytes.empty()) std::memcpy(all.back().data(), bytes.data(), bytes.size());
  }
  return all;
}

// The whole's empty tables, shaped after a first part (quantile levels are known only once something was
// forecast).
BatchErrors empty_whole(const BatchErrors& part, std::int64_t series) {
  BatchErrors whole;
  for (const ErrorTable& table : part.tables) {
    TableShape shape = table.shape();
    shape.first_series = 0;
    shape.series = series;
    whole.tables.emplace_back(table.layout(), shape);
  }
  whole.profiles.resize(static_cast<std::size_t>(series));
  return whole;
}

// All batches, judged by their ranks and merged in batch order by every rank.
BatchErrors judge_all(Judge& judge, std::int64_t series, Communicator& communicator) {
  const std::int64_t ranks = communicator.size(), batches = judge.batches();
  Progress progress("backtest", batches, "batch");
  std::optional<BatchErrors> whole;
  for (std::int64_t first = 0; first < batches; first += ranks * kBatchesPerExchange) {
    const std::int64_t end = std::min(batches, first + ranks * kBatchesPerExchange);
    std::vector<double> mine;
    for (std::int64_t k = first + communicator.rank(); k < end; k += ranks) {
      judge.judge(k).pack(mine);
      progress.update(std::min(k + ranks, end));
    }
    const std::vector<std::vector<double>> all = gather_sums(mine, communicator);
    std::vector<std::span<const double>> unread(all.begin(), all.end());
    for (std::int64_t k = first; k < end; ++k) {
      // `first` is a multiple of the ranks, so batch k is the next unread one of rank k % ranks.
      const BatchErrors part = BatchErrors::unpack(unread[static_cast<std::size_t>(k % ranks)]);
      if (!whole) whole = empty_whole(part, series);
      whole->merge(part);
    }
  }
  return *whole;
}

ForecasterResult summarise(const std::string& name, const ErrorTable& table,
                           const std::vector<std::string>& by, const std::vector<Grouping>& groupings) {
  const ErrorLayout& layout = table.layout();
  ForecasterResult result{name, layout.levels(), {"overall", "all", layout.scores(table.total())}, {}, {}};
  std::vector<std::vector<double>> windows;
  for (std::int64_t o = 0; o < table.shape().origins; ++o) {
    const auto sums = table.origin(o);
    windows.emplace_back(sums.begin(), sums.end());
  }
  const std::vector<Score> means = layout.window_means(windows);
  result.overall.scores.insert(result.overall.scores.end(), means.begin(), means.end());
  for (const Grouping& grouping : groupings) {
    const auto sums = table.by_level(grouping.level_of, grouping.levels.size());
    for (std::size_t l = 0; l < sums.size(); ++l)
      result.groups.push_back({grouping.name, grouping.levels[l], layout.scores(sums[l])});
  }
  if (std::ranges::find(by, "horizon") != by.end())
    for (std::int64_t h = 0; h < table.shape().horizon; ++h)
      result.groups.push_back({"horizon", fmt::format("{}", h + 1), layout.scores(table.step(h))});
  for (std::int64_t s = 0; s < table.shape().series; ++s) {
    const auto sums = table.series(s);
    result.series.push_back({static_cast<std::int64_t>(ErrorLayout::count(sums)),
                             ErrorLayout::absolute_error(sums), ErrorLayout::squared_error(sums),
                             ErrorLayout::absolute_target(sums)});
  }
  return result;
}

// Error sums of the judged series: [series, forecaster x {absolute, squared}].
std::vector<double> bootstrap_sums(const std::vector<ForecasterResult>& forecasters) {
  std::vector<double> sums;
  for (std::size_t s = 0; s < forecasters.front().series.size(); ++s) {
    if (forecasters.front().series[s].n == 0) continue;
    for (const ForecasterResult& forecaster : forecasters) {
      sums.push_back(forecaster.series[s].absolute_error);
      sums.push_back(forecaster.series[s].squared_error);
    }
  }
  return sums;
}

std::vector<Comparison> compare_all(const BacktestResult& result) {
  if (result.models == 0) return {};
  const std::vector<double> sums = bootstrap_sums(result.forecasters);
  const std::size_t columns = 2 * result.forecasters.size();
  const std::vector<double> totals =
      resampled_totals(sums, columns, result.config.bootstrap, key_of("backtest.bootstrap"));
  std::vector<Comparison> comparisons;
  for (std::size_t model = 0; model < result.models; ++model) {
    for (std::size_t baseline = result.models; baseline < result.forecasters.size(); ++baseline) {
      for (const std::size_t error : {0U, 1U}) {
        Comparison comparison = compare(sums, totals, columns, 2 * model + error, 2 * baseline + error);
        comparison.model = result.forecasters[model].name;
        comparison.baseline = result.forecasters[baseline].name;
        comparison.metric = error == 0 ? "mae" : "mse";
        comparisons.push_back(std::move(comparison));
      }
    }
  }
  return comparisons;
}

// Threads that forecast a batch's baselines. The result does not depend on them.
std::int64_t threads_of(const BacktestConfig& config, const Communicator& communicator) {
  if (config.threads > 0) return config.threads;
  return std::max<std::int64_t>(1, std::thread::hardware_concurrency() / communicator.local_size());
}

void check_request(const BacktestConfig& config, const data::FeatureSpec& spec, std::size_t models,
                   std::int64_t windows, int ranks) {
  if (config.horizon > spec.horizon)
    throw input_error(
        fmt::format("backtest.horizon {} is longer than what the model forecasts", config.horizon),
        fmt::format("its horizon is {} steps", spec.horizon), "lower backtest.horizon or train a longer one");
  if (models == 0 && config.baselines.empty())
    throw input_error("the backtest has nothing to judge",
                      "there is no model and backtest.baselines is empty", "name baselines");
  if (ranks > windows)
    throw input_error(fmt::format("{} ranks have only {} windows to judge", ranks, windows),
                      "some would have no work",
                      fmt::format("start the backtest on at most {} ranks", windows));
}

void fill_judgement(const BatchErrors& errors, const data::FeatureSpec& spec, std::int64_t windows,
                    Judgement& judgement) {
  judgement.context = spec.context;
  judgement.windows = windows;
  judgement.targets = errors.counts.judged;
  judgement.missing_targets = errors.counts.missing;
  judgement.zero_targets = errors.counts.zeros;
  judgement.history = errors.counts.history;
}

}  // namespace

BacktestResult run_backtest(const BacktestConfig& config, const std::filesystem::path& corpus_folder,
                            const data::FeatureSpec& spec, std::vector<Forecaster*> models,
                            std::int64_t validate_end, Communicator& communicator) {
  config.validate();
  const data::Corpus corpus(corpus_folder);
  const data::CorpusInfo& info = corpus.info();
  BacktestResult result{config, info, corpus.digest(), corpus.series_names(), {}, {}, models.size(), {},
                        {},     {}};
  result.judgement.origins = rolling_origins(config, info, validate_end);
  result.judgement.horizon = config.horizon;
  result.judgement.validate_end = validate_end;
  const std::vector<std::int64_t>& origins = result.judgement.origins;
  check_request(config, spec, models.size(), info.series * std::ssize(origins), communicator.size());
  check_groups(config.by, info);

  const std::int64_t threads = threads_of(config, communicator);
  const auto baselines = make_baselines(config, corpus_folder, spec.censored, threads);
  const auto learned = make_learned(config, corpus_folder, spec, origins.front(), threads, communicator);
  std::vector<Forecaster*> forecasters = std::move(models);
  for (const auto* list : {&baselines, &learned})
    for (const auto& baseline : *list) forecasters.push_back(baseline.get());
  Judge judge(corpus_folder, spec, config, info.series, origins, forecasters);
  const BatchErrors errors = judge_all(judge, info.series, communicator);

  const std::vector<Grouping> groupings =
      make_groupings(config.by, corpus, errors.profiles, config.horizon, result.absent_groups);
  fill_judgement(errors, spec, judge.windows(), result.judgement);
  for (std::size_t i = 0; i < forecasters.size(); ++i)
    result.forecasters.push_back(summarise(forecasters[i]->name(), errors.tables[i], config.by, groupings));
  result.comparisons = compare_all(result);
  result.fans =
      forecast_fans(corpus_folder, spec, choose_fans(result.forecasters.front().series, config.fans),
                    origins.back(), config.horizon, forecasters, result.series_names);
  return result;
}

}  // namespace shelfcast::eval
