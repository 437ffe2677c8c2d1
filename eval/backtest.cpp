#include "eval/backtest.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <thread>

#include "base/error.h"
#include "base/progress.h"
#include "eval/baselines/learned/learned.h"
#include "eval/baselines/statistical.h"
#include "eval/combination.h"
#include "eval/fans.h"
#include "eval/groups.h"
#include "eval/hierarchy.h"
#include "eval/judge.h"
#include "eval/origins.h"
#include "eval/summary.h"

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
  const auto of_all = [series](const ErrorTable& table) {
    TableShape shape = table.shape();
    shape.first_series = 0;
    shape.series = series;
    return ErrorTable(table.layout(), shape);
  };
  BatchErrors whole;
  std::ranges::transform(part.tables, std::back_inserter(whole.tables), of_all);
  std::ranges::transform(part.views, std::back_inserter(whole.views), of_all);
  for (const KeyedSums& sums : part.dates) whole.dates.emplace_back(sums.keys(), sums.width());
  for (const KeyedSums& sums : part.regimes) whole.regimes.emplace_back(sums.keys(), sums.width());
  for (const KeyedSums& sums : part.classes) whole.classes.emplace_back(sums.keys(), sums.width());
  for (const KeyedSums& sums : part.sums) whole.sums.emplace_back(sums.keys(), sums.width());
  for (const KeyedSums& sums : part.inventory) whole.inventory.emplace_back(sums.keys(), sums.width());
  for (const KeyedSums& sums : part.orders) whole.orders.emplace_back(sums.keys(), sums.width());
  whole.simpler.resize(part.simpler.size());
  whole.members = KeyedSums(part.members.keys(), part.members.width());
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

// All batches of a stage, judged by their ranks and merged in batch order by every rank into `whole`.
// `merged` is called with each batch's number and part in that order.
void judge_all(Judge& judge, std::int64_t series, Communicator& communicator,
               const std::function<void(std::int64_t, const BatchErrors&)>& merged,
               std::optional<BatchErrors>& whole) {
  const std::int64_t ranks = communicator.size(), batches = judge.batches();
  Progress progress("backtest", batches, "batch");
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

// Each forecast kept until the next: combinations ask for it again.
std::vector<Forecaster*> remember(const std::vector<Forecaster*>& forecasters,
                                  std::vector<std::unique_ptr<Remembered>>& remembered) {
  std::vector<Forecaster*> all;
  all.reserve(forecasters.size());
  for (Forecaster* forecaster : forecasters)
    all.push_back(remembered.emplace_back(std::make_unique<Remembered>(*forecaster)).get());
  return all;
}

bool refits_at(const BacktestConfig& config, const std::vector<std::int64_t>& origins, std::int64_t origin) {
  const auto number = std::ranges::find(origins, origin) - origins.begin();
  return number == 0 || (config.refit_every > 0 && number % config.refit_every == 0);
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

// Files and tables tell forecasters apart by their names.
void require_own_names(const std::vector<Forecaster*>& forecasters, std::size_t models) {
  for (std::size_t i = 0; i < models; ++i)
    for (std::size_t j = i + 1; j < forecasters.size(); ++j)
      if (forecasters[i]->name() == forecasters[j]->name())
        throw input_error(fmt::format("the model is called \"{}\", as a baseline is", forecasters[i]->name()),
                          "a backtest tells forecasters apart by their names", "rename the run's folder");
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

void check_names(const BacktestConfig& config, const data::Corpus& corpus) {
  check_groups(config.by, corpus.info());
  (void)make_regimes(config, corpus.info());
  (void)make_hierarchy(config.hierarchy, corpus);
}

BacktestResult run_backtest(const BacktestConfig& wanted, const data::CorpusSource& corpus_source,
                            const data::FeatureSpec& spec, std::vector<Forecaster*> models,
                            std::int64_t validate_end, Communicator& communicator) {
  wanted.validate();
  const data::Corpus corpus(corpus_source);
  const data::CorpusInfo& info = corpus.info();
  BacktestConfig config = wanted;
  config.season = season_of(wanted, info.axis.frequency);
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
  const auto baselines = make_baselines(config, corpus_source, spec.censored, threads);
  const auto learned = make_learned(config, corpus_source, spec, threads, communicator);
  std::vector<Forecaster*> forecasters = std::move(models);
  for (const auto* list : {&baselines, &learned})
    for (const auto& baseline : *list) forecasters.push_back(baseline.get());
  require_own_names(forecasters, result.models);
  JudgeExtras extras;
  Grouping categories = categories_of(corpus);
  const bool combines = !config.combine.methods.empty();
  std::vector<std::unique_ptr<Remembered>> remembered;
  if (combines) forecasters = remember(forecasters, remembered);
  Combiner combiner(config, remembered, result.models, categories.levels, categories.level_of, origins);
  for (Forecaster* combination : combiner.forecasters()) forecasters.push_back(combination);
  if (combines) extras.combiner = &combiner;
  extras.date_level_of = categories.level_of;
  extras.date_levels = categories.levels.size();
  extras.regimes = make_regimes(config, info);
  extras.classes = config.classes;
  extras.fitted_until = result.judgement.cut_off();
  extras.sums = std::ranges::any_of(forecasters, [](const Forecaster* f) { return f->says_sums(); });
  extras.views = make_views(config, info, origins);
  const std::vector<HierarchyLevel> levels = make_hierarchy(config.hierarchy, corpus);
  extras.window_errors = !levels.empty();
  const HierarchyPast past = read_past(levels, origins, corpus, config, communicator);
  const DateCells cells{extras.date_levels, origins.size(), static_cast<std::size_t>(config.horizon)};
  std::vector<HierarchyErrors> hierarchies;
  for (std::size_t i = 0; i < forecasters.size() && !levels.empty(); ++i)
    hierarchies.emplace_back(levels, past, origins.size(), cells.horizon);

  JudgedGroups groups;
  groups.of_steps = extras.regimes;
  groups.views = config.views;
  std::optional<BatchErrors> whole;
  for (const std::vector<std::int64_t>& stage : stages_of(origins, combines ? 1 : config.refit_every)) {
    if (refits_at(config, origins, stage.front()))
      for (Forecaster* forecaster : forecasters) forecaster->refit(stage.front());
    if (combines) combiner.learn(stage.front(), whole ? whole->members : KeyedSums());
    Judge judge(corpus_source, spec, config, evaluation_windows(info.series, stage), origins, forecasters,
                extras);
    const auto add_to_hierarchies = [&](std::int64_t batch, const BatchErrors& part) {
      add_windows(part, std::span(judge.windows()).subspan(static_cast<std::size_t>(batch * config.batch)),
                  origins, cells.horizon, hierarchies);
    };
    judge_all(judge, info.series, communicator, add_to_hierarchies, whole);
  }
  const BatchErrors& errors = *whole;

  groups.of_series = make_groupings(config.by, corpus, errors.profiles, config.horizon, result.absent_groups);
  groups.by_horizon = std::ranges::find(config.by, "horizon") != config.by.end();
  fill_judgement(errors, spec, info.series * std::ssize(origins), result.judgement);
  if (combines) result.combinations = {combiner.member_names(), combiner.weights()};
  result.categories = std::move(categories.levels);
  result.category_of = std::move(categories.level_of);
  summarise(forecasters, errors, hierarchies, groups, cells, result);
  compare_all(result);
  result.fans =
      forecast_fans(corpus_source, spec, choose_fans(result.forecasters.front().series, config.fans),
                    origins.back(), config.horizon, forecasters, result.series_names);
  return result;
}

}  // namespace shelfcast::eval
