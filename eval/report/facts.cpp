#include "eval/report/facts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "eval/baselines/learned/learned.h"
#include "eval/report/text.h"

namespace shelfcast::eval {
namespace {

std::string share_of(double part, double whole) {
  return whole > 0 ? fmt::format("{} ({})", format_count(part), format_percent(part / whole)) : "n = 0";
}

const char* steps_name(Frequency frequency) {
  switch (frequency) {
    case Frequency::daily:
      return "days";
    case Frequency::weekly:
      return "weeks";
    case Frequency::monthly:
      break;
  }
  return "months";
}

using Levels = std::vector<double>;

// Whose quantiles are of which levels, in the order of the table.
std::vector<std::pair<Levels, std::vector<std::string>>> by_levels(const BacktestResult& result) {
  std::vector<std::pair<Levels, std::vector<std::string>>> groups;
  for (const ForecasterResult& forecaster : result.forecasters) {
    if (forecaster.levels.empty()) continue;
    auto found = std::ranges::find(groups, forecaster.levels, &decltype(groups)::value_type::first);
    if (found == groups.end()) found = groups.insert(groups.end(), {forecaster.levels, {}});
    found->second.push_back(forecaster.name);
  }
  return groups;
}

std::string order_policy(const BacktestResult& result, const char* steps) {
  const OrderConfig& orders = result.config.orders;
  const std::int64_t interval = orders.lead + orders.review;
  if (orders.review == 0) return "not simulated";
  if (interval > result.judgement.horizon)
    return fmt::format("not simulated: an order has to last {} {}, longer than the horizon", interval, steps);
  return fmt::format("reviewed every {} {}, {} until one arrives, service level {}{}", orders.review, steps,
                     orders.lead, orders.service,
                     result.forecasters.front().overall.score("order_cost").n > 0
                         ? ""
                         : "; not judged: no window had ended before another origin");
}

}  // namespace

bool levels_differ(const BacktestResult& result) { return by_levels(result).size() > 1; }

std::string quantile_levels(const BacktestResult& result) {
  const auto groups = by_levels(result);
  if (groups.empty()) return "none: point forecasts";
  if (groups.size() == 1) return fmt::format("{}", fmt::join(groups.front().first, ", "));
  std::vector<std::string> said;
  for (const auto& [levels, names] : groups)
    said.push_back(fmt::format("{}: {}", fmt::join(names, ", "), fmt::join(levels, ", ")));
  return fmt::format("{}", fmt::join(said, "; "));
}

std::string gap_filler(SeasonalGaps gaps) {
  return gaps == SeasonalGaps::last_season ? "the value one season before it" : "the value before it";
}

std::string unfinished_trainings(const BacktestResult& result) {
  std::vector<std::string> said;
  for (const UnfinishedTraining& training : result.unfinished)
    said.push_back(fmt::format("{} trained {} of {} steps", training.run,
                               format_count(static_cast<double>(training.step)),
                               format_count(static_cast<double>(training.planned))));
  return fmt::format("{}", fmt::join(said, "; "));
}

Facts protocol_facts(const BacktestResult& result) {
  const Judgement& judged = result.judgement;
  const BacktestConfig& config = result.config;
  std::vector<std::string> origins;
  for (const std::int64_t origin : judged.origins) origins.push_back(result.date_of(origin));
  const char* steps = steps_name(result.corpus.axis.frequency);
  Facts facts = {
      {"Origins", fmt::format("{} (the first day of each horizon), {} {} apart", fmt::join(origins, ", "),
                              config.stride, steps)},
      {"Horizon", fmt::format("{} {}", judged.horizon, steps)},
      {"Model looks back", fmt::format("{} {}", judged.context, steps)},
      {"Quantile levels", quantile_levels(result)},
      {"First date unseen", result.date_of(judged.validate_end) + ": no origin lies before it"},
      {"Baselines look back", config.history == 0
                                  ? "on everything before an origin"
                                  : fmt::format("{} {} before an origin", config.history, steps)},
      {"Fitted anew", config.refit_every == 0 ? "never: what learns, learns before the first origin"
                                              : fmt::format("every {} origins", config.refit_every)}};
  if (!result.unfinished.empty()) facts.emplace_back("Training had not ended", unfinished_trainings(result));
  const auto learns = [](const std::string& name) {
    return std::ranges::find(learned_methods(), name, &LearnedMethod::name) != learned_methods().end();
  };
  if (std::ranges::any_of(config.baselines, learns))
    facts.emplace_back(
        "Learned baselines",
        fmt::format("up to {} rows, {} trees of gradient boosting",
                    format_count(static_cast<double>(config.learned_rows)), config.learned_rounds));
  facts.insert(
      facts.end(),
      {{"Seasonal values not observed", gap_filler(config.seasonal_gaps) + " stands in"},
       {"Windows", fmt::format("{} (series × origins)", format_count(static_cast<double>(judged.windows)))},
       {"Targets judged", format_count(judged.targets)},
       {"of them zero", share_of(judged.zero_targets, judged.targets)},
       {"Not observed, left out", share_of(judged.missing_targets, judged.targets + judged.missing_targets)},
       {"Season", fmt::format("{} {} (of seasonal baselines and the scale of MASE)", config.season, steps)},
       {"Orders", order_policy(result, steps)},
       {"Resamples of the bootstrap", format_count(static_cast<double>(config.bootstrap))}});
  return facts;
}

Facts data_facts(const BacktestResult& result) {
  const data::CorpusInfo& info = result.corpus;
  const Coverage& history = result.judgement.history;
  std::vector<std::string> covariates, statics;
  for (const data::CovariateInfo& c : info.covariates)
    covariates.push_back(
        fmt::format("{} ({})", c.name, c.role == data::Role::known ? "known ahead" : "known afterwards"));
  for (const data::StaticInfo& s : info.statics)
    statics.push_back(s.kind == data::Kind::categorical ? fmt::format("{} ({})", s.name, s.vocabulary.size())
                                                        : s.name);
  Facts facts = {
      {"Corpus", info.name},
      {"State", result.corpus_digest},
      {"Forecast", info.target},
      {"Series", format_count(static_cast<double>(info.series))},
      {"Span", fmt::format("{} to {}, {} {}", result.date_of(0), result.date_of(info.demand_end - 1),
                           info.demand_end, steps_name(info.axis.frequency))},
      {"Zero demand", share_of(history.zeros, history.cells)},
      {"Not observed", share_of(history.missing, history.cells)},
      {"Covariates", covariates.empty() ? "none" : fmt::format("{}", fmt::join(covariates, ", "))},
      {"Facts per series", statics.empty() ? "none" : fmt::format("{}", fmt::join(statics, ", "))}};
  if (!info.notes.empty()) facts.emplace_back("Notes", info.notes);
  return facts;
}

}  // namespace shelfcast::eval
