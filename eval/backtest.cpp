#include "eval/backtest.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <thread>

#include "base/error.h"
#include "base/progress.h"
#include "eval/baselines/learned/learned.h"
#include "eval/baselines/statistical.h"
#include "eval/fans.h"
#include "eval/groups.h"
#include "eval/hierarchy.h"
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

struct JudgedGroups {
  std::vector<Grouping> of_series;
  std::vector<Regime> of_steps;
  bool by_horizon = false;
};

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
  for (const KeyedSums& sums : part.dates) whole.dates.emplace_back(sums.keys(), sums.width());
  for (const KeyedSums& sums : part.regimes) whole.regimes.emplace_back(sums.keys(), sums.width());
  for (const KeyedSums& sums : part.orders) whole.orders.emplace_back(sums.keys(), sums.width());
  whole.profiles.resize(static_cast<std::size_t>(series));
  return whole;
}

// Adds a batch's windows to the sums of every forecaster's hierarchy.
void add_windows(const BatchErrors& part, std::span<const data::Window> windows,
                 const std::vector<std::int64_t>& origins, std::size_t horizon,
                 std::vector<HierarchyErrors>& hierarchies) {
  for (std::size_t f = 0; f < hierarchies.size(); ++f) {
    const std::span<const double> errors = part.window_errors[f];
    for (std::size_t row = 0; row * horizon < errors.size(); ++row) {
      const auto origin = std::ranges::lower_bound(origins, windows[row].origin) - origins.begin();
      hierarchies[f].add(windows[row].series, static_cast<std::size_t>(origin),
                         errors.subspan(row * horizon, horizon));
    }
  }
}

// All batches, judged by their ranks and merged in batch order by every rank. `merged` is called with each
// batch's number and part in that order.
BatchErrors judge_all(Judge& judge, std::int64_t series, Communicator& communicator,
                      const std::function<void(std::int64_t, const BatchErrors&)>& merged) {
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
      merged(k, part);
    }
  }
  return *whole;
}

// Groups of series and of steps, in the order asked for.
void add_groups(const ErrorTable& table, const KeyedSums& regime_sums, const JudgedGroups& groups,
                ForecasterResult& result) {
  const ErrorLayout& layout = table.layout();
  for (const Grouping& grouping : groups.of_series) {
    const auto sums = table.by_level(grouping.level_of, grouping.levels.size());
    for (std::size_t l = 0; l < sums.size(); ++l)
      result.groups.push_back({grouping.name, grouping.levels[l], layout.scores(sums[l])});
  }
  std::size_t key = 0;
  for (const Regime& regime : groups.of_steps)
    for (const std::string& level : regime.levels())
      result.groups.push_back({regime.name(), level, layout.scores(regime_sums[key++])});
  if (groups.by_horizon)
    for (std::int64_t h = 0; h < table.shape().horizon; ++h)
      result.groups.push_back({"horizon", fmt::format("{}", h + 1), layout.scores(table.step(h))});
}

ForecasterResult summarise(const std::string& name, const ErrorTable& table, const KeyedSums& regime_sums,
                           const JudgedGroups& groups) {
  const ErrorLayout& layout = table.layout();
  ForecasterResult result{name, layout.levels(), {"overall", "all", layout.scores(table.total())}, {}, {}};
  std::vector<std::vector<double>> windows;
  for (std::int64_t o = 0; o < table.shape().origins; ++o) {
    const auto sums = table.origin(o);
    windows.emplace_back(sums.begin(), sums.end());
  }
  const std::vector<Score> means = layout.window_means(windows);
  result.overall.scores.insert(result.overall.scores.end(), means.begin(), means.end());
  add_groups(table, regime_sums, groups, result);
  for (std::int64_t s = 0; s < table.shape().series; ++s) {
    const auto sums = table.series(s);
    result.series.push_back({static_cast<std::int64_t>(ErrorLayout::count(sums)),
                             ErrorLayout::absolute_error(sums), ErrorLayout::squared_error(sums),
                             ErrorLayout::absolute_target(sums)});
  }
  return result;
}

void add_hierarchy(const HierarchyErrors& hierarchy, ForecasterResult& result) {
  std::vector<GroupScores> levels;
  for (const HierarchyErrors::LevelScore& level : hierarchy.scores())
    levels.push_back({"hierarchy", level.level, {level.score}});
  result.overall.scores.push_back(levels.back().scores.front());
  result.groups.insert(result.groups.begin(), levels.begin(), levels.end() - 1);
}

void add_orders(const OrderConfig& config, const KeyedSums& sums, const std::vector<std::string>& categories,
                std::size_t origins, ForecasterResult& result) {
  std::vector<GroupScores> levels;
  for (const OrderScores& level : order_scores(config, sums, {categories.size(), origins}, categories))
    levels.push_back({"orders", level.level, level.scores});
  const std::vector<Score>& all = levels.back().scores;
  result.overall.scores.insert(result.overall.scores.end(), all.begin(), all.end());
  if (categories.size() > 1) result.groups.insert(result.groups.begin(), levels.begin(), levels.end() - 1);
}

// The absolute and squared errors of a forecaster, by series and, in each category, by date.
LossRecord losses_of(const ForecasterResult& forecaster, const KeyedSums& dates, const DateCells& cells,
                     const std::vector<std::int64_t>& origins) {
  LossRecord record;
  record.name = forecaster.name;
  for (const SeriesErrors& errors : forecaster.series) {
    record.absolute.push_back(errors.absolute_error);
    record.squared.push_back(errors.squared_error);
  }
  for (std::size_t level = 0; level < cells.levels; ++level) {
    std::map<std::int64_t, DateSums> by_step;
    for (std::size_t o = 0; o < cells.origins; ++o) {
      for (std::size_t h = 0; h < cells.horizon; ++h) {
        const std::span<const double> sums = dates[cells(level, o, h)];
        if (sums[0] == 0) continue;
        const std::int64_t step = origins[o] + static_cast<std::int64_t>(h);
        DateSums& date = by_step.try_emplace(step, DateSums{step}).first->second;
        date.n += sums[0];
        date.absolute += sums[1];
        date.squared += sums[2];
      }
    }
    std::vector<DateSums>& level_dates = record.dates.emplace_back();
    for (const auto& [step, date] : by_step) level_dates.push_back(date);
  }
  return record;
}

void compare_all(BacktestResult& result) {
  ComparisonPlan plan;
  plan.categories = result.categories;
  plan.category_of = result.category_of;
  for (const SeriesErrors& errors : result.forecasters.front().series) plan.judged.push_back(errors.n > 0);
  plan.horizon = result.config.horizon;
  plan.resamples = result.config.bootstrap;
  Comparisons comparisons = compare_losses(result.losses, result.models, plan);
  result.comparisons = std::move(comparisons.overall);
  result.category_comparisons = std::move(comparisons.by_category);
}

// The categories that comparisons go by: the corpus' category level, or all series as one.
Grouping categories_of(const data::Corpus& corpus) {
  std::vector<std::string> absent;
  std::vector<Grouping> groupings = make_groupings({"category"}, corpus, {}, 0, absent);
  if (!groupings.empty()) return std::move(groupings.front());
  return {"category", {"all"}, std::vector<std::size_t>(static_cast<std::size_t>(corpus.info().series))};
}

// What the past says of the hierarchy's nodes: read by rank 0, for all.
HierarchyPast read_past(const std::vector<HierarchyLevel>& levels, const std::vector<std::int64_t>& origins,
                        const data::Corpus& corpus, const BacktestConfig& config,
                        Communicator& communicator) {
  std::vector<double> packed;
  if (communicator.rank() == 0) packed = HierarchyPast(levels, origins, corpus, config).pack();
  return HierarchyPast(gather_sums(packed, communicator).front());
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
  BacktestResult result;
  result.config = config;
  result.corpus = info;
  result.corpus_digest = corpus.digest();
  result.series_names = corpus.series_names();
  result.models = models.size();
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
  JudgeExtras extras;
  Grouping categories = categories_of(corpus);
  extras.date_level_of = categories.level_of;
  extras.date_levels = categories.levels.size();
  extras.regimes = make_regimes(config, info);
  const std::vector<HierarchyLevel> levels = make_hierarchy(config.hierarchy, corpus);
  extras.window_errors = !levels.empty();
  const HierarchyPast past = read_past(levels, origins, corpus, config, communicator);
  const DateCells cells{extras.date_levels, origins.size(), static_cast<std::size_t>(config.horizon)};
  std::vector<HierarchyErrors> hierarchies;
  for (std::size_t i = 0; i < forecasters.size() && !levels.empty(); ++i)
    hierarchies.emplace_back(levels, past, origins.size(), cells.horizon);

  JudgedGroups groups;
  groups.of_steps = extras.regimes;
  Judge judge(corpus_folder, spec, config, info.series, origins, forecasters, std::move(extras));
  const auto add_to_hierarchies = [&](std::int64_t batch, const BatchErrors& part) {
    add_windows(part, std::span(judge.windows()).subspan(static_cast<std::size_t>(batch * config.batch)),
                origins, cells.horizon, hierarchies);
  };
  const BatchErrors errors = judge_all(judge, info.series, communicator, add_to_hierarchies);

  groups.of_series = make_groupings(config.by, corpus, errors.profiles, config.horizon, result.absent_groups);
  groups.by_horizon = std::ranges::find(config.by, "horizon") != config.by.end();
  fill_judgement(errors, spec, std::ssize(judge.windows()), result.judgement);
  for (std::size_t i = 0; i < forecasters.size(); ++i) {
    result.forecasters.push_back(
        summarise(forecasters[i]->name(), errors.tables[i], errors.regimes[i], groups));
    if (!hierarchies.empty()) add_hierarchy(hierarchies[i], result.forecasters.back());
    if (config.orders.review > 0)
      add_orders(config.orders, errors.orders[i], categories.levels, origins.size(),
                 result.forecasters.back());
    result.losses.push_back(losses_of(result.forecasters.back(), errors.dates[i], cells, origins));
  }
  result.categories = std::move(categories.levels);
  result.category_of = std::move(categories.level_of);
  compare_all(result);
  result.fans =
      forecast_fans(corpus_folder, spec, choose_fans(result.forecasters.front().series, config.fans),
                    origins.back(), config.horizon, forecasters, result.series_names);
  return result;
}

}  // namespace shelfcast::eval
