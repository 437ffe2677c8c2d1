#include "eval/report/verdict.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

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

// "Its MAE is 12.3 % lower than that of Seasonal Naive, the strongest baseline (...): a win."
std::string against_strongest(const BacktestResult& result, const std::string& metric) {
  const Comparison* c = compared_with_strongest(result, result.forecasters.front().name, metric);
  if (c == nullptr) return fmt::format("{}: nothing to compare.", title_of(metric));
  return fmt::format("Its {} is {} than that of {}, the strongest baseline ({}{}): {}.", title_of(metric),
                     change(*c->difference), c->baseline, interval(*c), on_other_dates(*c),
                     word_of(c->verdict));
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

// "Of 3 other runs it beats 2 on MAE; not clearly better than runs/b."
std::string against_runs(const ReportData& data, const std::string& metric) {
  std::vector<std::string> open;
  std::size_t won = 0;
  for (const Comparison& c : data.between) {
    if (c.metric != metric) continue;
    if (c.verdict == Verdict::better)
      ++won;
    else
      open.push_back(c.baseline);
  }
  const std::string rest =
      open.empty() ? "." : fmt::format("; it is not clearly better than {}.", fmt::join(open, ", "));
  return fmt::format("On {} it beats {} of {} other runs{}", title_of(metric), won, data.runs.size() - 1,
                     rest);
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

void decide(const BacktestResult& result, Summary& summary) {
  const std::string model = result.forecasters.front().name;
  std::vector<std::string> lost, unclear;
  for (const Comparison& c : result.comparisons) {
    if (c.model != model || combines_models(c.baseline)) continue;
    const std::string what = fmt::format("{} on {}", c.baseline, title_of(c.metric));
    if (c.verdict == Verdict::worse) lost.push_back(what);
    if (c.verdict == Verdict::unclear) unclear.push_back(what);
  }
  if (!lost.empty()) {
    summary.verdict = Verdict::worse;
    summary.headline = fmt::format("{} loses to {}.", model, fmt::join(lost, ", "));
  } else if (!unclear.empty()) {
    summary.headline = fmt::format("{} is not clearly better than {}.", model, fmt::join(unclear, ", "));
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
