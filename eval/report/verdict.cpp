// The verdict and the figures everybody asks for first.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "eval/report/plots.h"
#include "eval/report/sections.h"
#include "eval/report/svg.h"

namespace shelfcast::eval {
namespace {

// The baseline with the smallest overall error; nullptr when nothing was judged.
const ForecasterResult* strongest_baseline(const BacktestResult& result, const std::string& metric) {
  const ForecasterResult* strongest = nullptr;
  for (std::size_t i = result.models; i < result.forecasters.size(); ++i) {
    const Score score = result.forecasters[i].overall.score(metric);
    if (!score.value) continue;
    if (strongest == nullptr || *score.value < *strongest->overall.score(metric).value)
      strongest = &result.forecasters[i];
  }
  return strongest;
}

const Comparison* find_comparison(const BacktestResult& result, const std::string& baseline,
                                  const std::string& metric) {
  const auto found = std::ranges::find_if(result.comparisons, [&](const Comparison& c) {
    return c.model == result.forecasters.front().name && c.baseline == baseline && c.metric == metric;
  });
  return found == result.comparisons.end() ? nullptr : &*found;
}

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

// "Its MAE is 12.3 % lower than that of Seasonal Naive, the strongest baseline (...): a win."
std::string difference_sentence(const BacktestResult& result, const std::string& metric,
                                const std::string& name) {
  const ForecasterResult* baseline = strongest_baseline(result, metric);
  const Comparison* c = baseline == nullptr ? nullptr : find_comparison(result, baseline->name, metric);
  if (c == nullptr || !c->difference) return fmt::format("<p>{}: nothing to compare.</p>\n", name);
  const char* verdict = c->verdict == Verdict::better  ? "a win"
                        : c->verdict == Verdict::worse ? "a loss"
                                                       : "no clear difference";
  return fmt::format("<p>{} is {} than that of {}, the strongest baseline ({}): <strong>{}</strong>.</p>\n",
                     name, change(*c->difference), escape_html(baseline->name), interval(*c), verdict);
}

struct Headline {
  Verdict verdict;
  std::string text;
};

Headline headline(const BacktestResult& result) {
  const std::string model = result.forecasters.front().name;
  std::vector<std::string> lost, unclear;
  for (const Comparison& c : result.comparisons) {
    if (c.model != model) continue;
    const std::string what = fmt::format("{} on {}", c.baseline, c.metric == "mae" ? "MAE" : "MSE");
    if (c.verdict == Verdict::worse) lost.push_back(what);
    if (c.verdict == Verdict::unclear) unclear.push_back(what);
  }
  if (!lost.empty()) return {Verdict::worse, fmt::format("{} loses to {}.", model, fmt::join(lost, ", "))};
  if (!unclear.empty())
    return {Verdict::unclear,
            fmt::format("{} is not clearly better than {}.", model, fmt::join(unclear, ", "))};
  return {Verdict::better, fmt::format("{} beats every baseline, on MAE and on MSE.", model)};
}

std::string tile(const std::string& value, const std::string& name) {
  return fmt::format("<div class=\"tile\"><b>{}</b><span>{}</span></div>\n", value, escape_html(name));
}

// Millions are shortened to fit a tile.
std::string brief(const std::string& metric, double value) {
  if (std::abs(value) < 1e6) return format_score(metric, value);
  return std::abs(value) < 1e9 ? format_number(value / 1e6) + " M" : format_number(value / 1e9) + " bn";
}

}  // namespace

std::string verdict_section(const BacktestResult& result) {
  if (result.models == 0)
    return "<div class=\"verdict unclear\"><p class=\"headline\">Baselines only: no model was "
           "judged.</p></div>\n";
  if (!result.forecasters.front().overall.score("mae").value)
    return "<div class=\"verdict unclear\"><p class=\"headline\">n = 0: no target was observed, so nothing "
           "was judged.</p></div>\n";
  const Headline head = headline(result);
  return fmt::format("<div class=\"verdict {}\"><p class=\"headline\">{}</p>\n{}{}</div>\n",
                     to_string(head.verdict), escape_html(head.text),
                     difference_sentence(result, "mae", "Its MAE"),
                     difference_sentence(result, "mse", "Its MSE"));
}

std::string tiles_section(const BacktestResult& result) {
  const GroupScores& overall = result.forecasters.front().overall;
  std::string html = "<div class=\"tiles\">\n";
  for (const auto& [metric, name] : std::vector<std::pair<std::string, std::string>>{
           {"mae", "MAE"}, {"mse", "MSE"}, {"wape", "WAPE"}, {"mase", "MASE"}, {"bias", "bias per step"}}) {
    const Score score = overall.score(metric);
    html += tile(score.value ? brief(metric, *score.value) : "n = 0", name);
  }
  html += tile(format_count(result.judgement.targets), "targets judged (n)");
  return html + "</div>\n";
}

}  // namespace shelfcast::eval
