#include "eval/report/verdict.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "eval/report/facts.h"
#include "eval/report/main_table.h"
#include "eval/report/text.h"

namespace shelfcast::eval {
namespace {

// "12.3 % lower", "0.4 % higher".
std::string change(double difference) {
  return fmt::format("{} {}", format_percent(std::abs(difference)), difference <= 0 ? "lower" : "higher");
}

// "10.1 to 14.2 % lower", or "2.1 % lower to 0.4 % higher" where it holds 0.
std::string interval(const Comparison& c) {
  if (!c.low || !c.high) return "no interval: too few series or no resamples";
  const bool same_side = (*c.low <= 0) == (*c.high <= 0);
  const double near = *c.high <= 0 ? *c.high : *c.low, far = *c.high <= 0 ? *c.low : *c.high;
  return same_side ? fmt::format("95 % interval {:.1f} to {}", 100 * std::abs(near), change(far))
                   : fmt::format("95 % interval {} to {}", change(*c.low), change(*c.high));
}

std::string on_other_dates(const Comparison& c) {
  return c.dates ? fmt::format(", over {} dates p = {:.2g}", c.dates->dates, c.dates->p)
                 : std::string(", too few dates to test other weeks");
}

const char* word_of(Verdict verdict) {
  if (verdict == Verdict::better) return "a win";
  return verdict == Verdict::worse ? "a loss" : "no clear difference";
}

constexpr std::size_t kNamed = 4;  // of a long list

// "a, b, c, d and 3 others".
std::string few(const std::vector<std::string>& names) {
  const std::size_t shown = std::min(kNamed, names.size());
  const std::string rest =
      names.size() > shown ? fmt::format(" and {} others", names.size() - shown) : std::string();
  return fmt::format(
      "{}{}", fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown), ", "), rest);
}

// "Its MAE is 12.3 % lower than that of Seasonal Naive, the strongest baseline (...): a win."
std::string against_strongest(const BacktestResult& result, const std::string& metric) {
  const std::string& model = result.forecasters.front().name;
  const Comparison* c = compared_with_strongest(result, model, metric);
  const std::vector<std::string> open = not_met(result, model);
  if (c == nullptr && open.empty()) return fmt::format("{}: nothing to compare.", title_of(metric));
  if (c == nullptr)
    return fmt::format("Its {} was not compared with that of {}: its own backtest lacks them.",
                       title_of(metric), few(open));
  const auto baseline = std::ranges::find(result.forecasters, c->baseline, &ForecasterResult::name);
  const char* kind = of_quantiles(metric) && baseline != result.forecasters.end() && baseline->levels.empty()
                         ? ", the strongest baseline, a point forecast that stands for each quantile"
                         : ", the strongest baseline";
  return fmt::format("Its {} is {} than that of {}{} ({}{}): {}.", title_of(metric), change(*c->difference),
                     c->baseline, kind, interval(*c), on_other_dates(*c), word_of(c->verdict));
}

// "Stacking with runs/a has an MAE 12.3 % lower than its own." for each combination that it is in.
std::vector<std::string> in_combinations(const BacktestResult& result) {
  std::vector<std::string> sentences;
  for (const Comparison& c : result.comparisons) {
    if (c.model != result.forecasters.front().name || c.metric != "mae" || !c.difference) continue;
    if (combines_models(c.baseline))
      sentences.push_back(fmt::format("{} has an MAE {} than its own.", c.baseline,
                                      change(1.0 / (1.0 + *c.difference) - 1.0)));
  }
  return sentences;
}

// "On MAE it beats 2 of 4 other runs; it is not clearly better than a; it loses to b."
std::string against_runs(const ReportData& data, const std::string& metric) {
  std::vector<std::string> open, lost;
  std::size_t won = 0, compared = 0;
  for (const Comparison& c : data.between) {
    if (c.metric != metric || !c.difference) continue;
    ++compared;
    if (c.verdict == Verdict::better)
      ++won;
    else
      (c.verdict == Verdict::worse ? lost : open).push_back(c.baseline);
  }
  const std::size_t others = data.runs.size() - 1;
  const char* const why = of_quantiles(metric) ? "other levels of quantiles" : "no sums alike";
  if (compared == 0) return fmt::format("On {} no other run compares: {}.", title_of(metric), why);
  std::string text = fmt::format("On {} it beats {} of {} other runs", title_of(metric), won, compared);
  if (compared < others) text += fmt::format(" ({} do not compare: {})", others - compared, why);
  if (!open.empty()) text += fmt::format("; it is not clearly better than {}", fmt::join(open, ", "));
  if (!lost.empty()) text += fmt::format("; it loses to {}", fmt::join(lost, ", "));
  return text + ".";
}

// In the order of the comparisons, each once.
std::vector<std::string> compared_metrics(const BacktestResult& result) {
  std::vector<std::string> metrics;
  for (const Comparison& c : result.comparisons)
    if (std::ranges::find(metrics, c.metric) == metrics.end()) metrics.push_back(c.metric);
  return metrics;
}

// "MAE, MSE and WQL".
std::string list_of(const std::vector<std::string>& metrics) {
  std::string list;
  for (std::size_t i = 0; i < metrics.size(); ++i)
    list += (i == 0 ? "" : i + 1 < metrics.size() ? ", " : " and ") + title_of(metrics[i]);
  return list;
}

// "Croston on MAE and MSE, TSB on MAE": whom a model met with this verdict, four at most.
std::string met_with(const std::vector<Comparison>& comparisons, const std::string& model, Verdict verdict) {
  std::vector<std::pair<std::string, std::vector<std::string>>> met;  // in the order of the comparisons
  for (const Comparison& c : comparisons) {
    if (c.model != model || c.verdict != verdict || combines_models(c.baseline)) continue;
    auto found = std::ranges::find(met, c.baseline, &decltype(met)::value_type::first);
    if (found == met.end()) found = met.insert(met.end(), {c.baseline, {}});
    found->second.push_back(c.metric);
  }
  std::vector<std::string> said;
  for (const auto& [baseline, metrics] : met)
    said.push_back(fmt::format("{} on {}", baseline, list_of(metrics)));
  return few(said);
}

void decide(const BacktestResult& result, Summary& summary) {
  const std::string model = result.forecasters.front().name;
  const std::string lost = met_with(result.comparisons, model, Verdict::worse),
                    unclear = met_with(result.comparisons, model, Verdict::unclear);
  const std::vector<std::string> open = not_met(result, model);
  if (!lost.empty()) {
    summary.verdict = Verdict::worse;
    summary.headline = fmt::format("{} loses to {}.", model, lost);
  } else if (!unclear.empty()) {
    summary.headline = fmt::format("{} is not clearly better than {}.", model, unclear);
  } else if (!open.empty()) {
    summary.headline = fmt::format("{} was not compared with {}.", model, few(open));
  } else if (result.forecasters.size() == result.models) {
    summary.headline = fmt::format("{} was judged without a baseline.", model);
  } else {
    summary.verdict = Verdict::better;
    summary.headline =
        fmt::format("{} beats every baseline, on {}.", model, list_of(compared_metrics(result)));
  }
}

}  // namespace

Summary summarise(const ReportData& data) {
  const BacktestResult& result = data.result;
  Summary summary;
  if (!result.forecasters.front().overall.score("mae").value) {
    summary.headline = "n = 0: no target was observed, so nothing was judged.";
    return summary;
  }
  decide(result, summary);
  // What beats it in the same table belongs to the first sentence, be it called a baseline or not.
  const std::string beaten_by = met_with(data.between, result.forecasters.front().name, Verdict::worse);
  if (!beaten_by.empty()) {
    if (summary.verdict == Verdict::better) summary.verdict = Verdict::unclear;
    summary.headline += fmt::format(" Another run beats it: {}.", beaten_by);
  }
  if (!result.unfinished.empty())
    summary.sentences.push_back(
        fmt::format("Judged before training had ended: {}.", unfinished_trainings(result)));
  std::vector<std::string> metrics = compared_metrics(result);
  if (metrics.empty()) metrics = {"mae", "mse"};
  for (const std::string& metric : metrics) {
    summary.sentences.push_back(against_strongest(result, metric));
    if (data.runs.size() > 1) summary.sentences.push_back(against_runs(data, metric));
  }
  std::ranges::move(in_combinations(result), std::back_inserter(summary.sentences));
  return summary;
}

}  // namespace shelfcast::eval
