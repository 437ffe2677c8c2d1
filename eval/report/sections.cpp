#include "eval/report/sections.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "eval/report/plots.h"
#include "eval/report/svg.h"

namespace shelfcast::eval {
namespace {

constexpr std::size_t kLevelsShown = 16;
constexpr const char* kEmpty = "<td class=\"small\">n = 0</td>";

std::string shown(const Score& score) {
  const bool share = score.metric == "wape" || score.metric == "wql" ||
                     score.metric.starts_with("coverage") || score.metric.starts_with("wape_") ||
                     score.metric.starts_with("wql_");
  return share ? format_percent(*score.value) : format_number(*score.value);
}

std::string cell(const Score& score, bool best = false) {
  if (!score.value) return score.n == 0 ? kEmpty : "<td class=\"small\">–</td>";
  return fmt::format("<td{}>{}</td>", best ? " class=\"best\"" : "", shown(score));
}

std::string legend(const BacktestResult& result) {
  std::string html = "<div class=\"legend\">";
  for (std::size_t i = 0; i < result.forecasters.size(); ++i)
    html += fmt::format("<span><i class=\"swatch {}\"></i>{}</span>", forecaster_style(i),
                        escape_html(result.forecasters[i].name));
  return html + "</div>\n";
}

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

std::string change(double difference) {
  return fmt::format("{} {}", format_percent(std::abs(difference)), difference <= 0 ? "lower" : "higher");
}

// "Its MAE is 12.3 % lower than that of Seasonal Naive, the strongest baseline (95 % interval: ...): a win."
std::string difference_sentence(const BacktestResult& result, const std::string& metric,
                                const std::string& name) {
  const ForecasterResult* baseline = strongest_baseline(result, metric);
  const Comparison* c = baseline == nullptr ? nullptr : find_comparison(result, baseline->name, metric);
  if (c == nullptr || !c->difference) return fmt::format("<p>{}: nothing to compare (n = 0).</p>\n", name);
  std::string interval = "no interval: too few series or no resamples";
  if (c->low && c->high)
    interval = fmt::format("95 % interval {:+.1f} % to {:+.1f} %", 100 * *c->low, 100 * *c->high);
  const std::string verdict = c->verdict == Verdict::better  ? "a win"
                              : c->verdict == Verdict::worse ? "a loss"
                                                             : "no clear difference";
  return fmt::format("<p>{} is {} than that of {}, the strongest baseline ({}): <strong>{}</strong>.</p>\n",
                     name, change(*c->difference), escape_html(baseline->name), interval, verdict);
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

// Levels by falling n (volume in a backtest), then name; n of the first forecaster.
std::vector<const GroupScores*> levels_of(const ForecasterResult& forecaster, const std::string& group) {
  std::vector<const GroupScores*> levels;
  for (const GroupScores& scores : forecaster.groups)
    if (scores.group == group) levels.push_back(&scores);
  return levels;
}

std::vector<std::string> group_names(const BacktestResult& result) {
  std::vector<std::string> names;
  for (const GroupScores& scores : result.forecasters.front().groups)
    if (scores.group != "horizon" && std::ranges::find(names, scores.group) == names.end())
      names.push_back(scores.group);
  return names;
}

std::string group_table(const BacktestResult& result, const std::string& group,
                        const std::vector<std::string>& levels) {
  std::string html = fmt::format(
      "<details><summary>Table: {} by {}</summary><div class=\"scroll\"><table><thead><tr><th>{}</th>"
      "<th>forecaster</th><th>n</th><th>MAE</th><th>MSE</th><th>WAPE</th><th>MASE</th><th>bias</th>"
      "</tr></thead><tbody>\n",
      "errors", escape_html(group), escape_html(group));
  for (const std::string& level : levels) {
    for (std::size_t i = 0; i < result.forecasters.size(); ++i) {
      const GroupScores* scores = find_group(result.forecasters[i], group, level);
      if (scores == nullptr) continue;
      html += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td>", i == 0 ? escape_html(level) : "",
                          escape_html(result.forecasters[i].name),
                          format_count(static_cast<double>(scores->score("mae").n)));
      for (const char* metric : {"mae", "mse", "wape", "mase", "bias"}) html += cell(scores->score(metric));
      html += "</tr>\n";
    }
  }
  return html + "</tbody></table></div></details>\n";
}

std::string group_section(const BacktestResult& result, const std::string& group) {
  std::vector<const GroupScores*> levels = levels_of(result.forecasters.front(), group);
  std::ranges::stable_sort(levels, [](const GroupScores* a, const GroupScores* b) {
    return a->score("mae").n > b->score("mae").n;
  });
  const std::size_t all = levels.size();
  levels.resize(std::min(all, kLevelsShown));
  std::vector<std::string> names;
  for (const GroupScores* level : levels) names.push_back(level->level);
  std::string title = fmt::format("By {}", group),
              note = "WAPE: error as a share of demand, so that levels of different size compare. ";
  if (all > names.size())
    note += fmt::format("The {} levels with most judged targets of {}; all are in metrics.csv.", names.size(),
                        format_count(static_cast<double>(all)));
  return fmt::format(
      "<section id=\"by-{}\"><h2>{}</h2>\n<p class=\"lead\">{}</p>\n{}<figure>{}</figure>\n{}</section>\n",
      escape_html(group), escape_html(title), note, legend(result), level_plot(result, group, names, "wape"),
      group_table(result, group, names));
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
    html += tile(score.value ? shown(score) : "n = 0", name);
  }
  html += tile(format_count(result.judgement.targets), "targets judged (n)");
  return html + "</div>\n";
}

std::string main_table_section(const BacktestResult& result) {
  const std::vector<std::pair<std::string, std::string>> columns{
      {"mae", "MAE"},
      {"mse", "MSE"},
      {"rmse", "RMSE"},
      {"bias", "bias"},
      {"wape", "WAPE"},
      {"mase", "MASE"},
      {"pinball", "pinball"},
      {"mase_window_mean", "MASE, mean of windows"},
      {"wape_window_mean", "WAPE, mean of windows"}};
  std::string html =
      "<section id=\"results\"><h2>Results</h2>\n<p class=\"lead\">All forecasters on the same windows. MAE, "
      "WAPE and MASE judge "
      "the median, MSE, RMSE and bias the mean. Bold: the best of its column.</p>\n<div "
      "class=\"scroll\"><table><thead><tr>"
      "<th>forecaster</th><th>n</th>";
  std::map<std::string, double> best;
  for (const auto& [metric, title] : columns) {
    html += fmt::format("<th>{}</th>", title);
    for (const ForecasterResult& forecaster : result.forecasters) {
      const Score score = forecaster.overall.score(metric);
      if (!score.value) continue;
      const auto known = best.try_emplace(metric, std::abs(*score.value)).first;
      known->second = std::min(known->second, std::abs(*score.value));
    }
  }
  html += "</tr></thead><tbody>\n";
  for (std::size_t i = 0; i < result.forecasters.size(); ++i) {
    const ForecasterResult& forecaster = result.forecasters[i];
    html += fmt::format("<tr{}><td><i class=\"swatch {}\"></i>{}</td><td>{}</td>",
                        i < result.models ? " class=\"model\"" : "", forecaster_style(i),
                        escape_html(forecaster.name),
                        format_count(static_cast<double>(forecaster.overall.score("mae").n)));
    for (const auto& [metric, title] : columns) {
      const Score score = forecaster.overall.score(metric);
      const bool absent = metric == "pinball" && forecaster.levels.empty();
      html += absent ? "<td class=\"small\">–</td>"
                     : cell(score, score.value && std::abs(*score.value) == best[metric]);
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div></section>\n";
}

std::string comparison_section(const BacktestResult& result) {
  if (result.comparisons.empty()) return {};
  return fmt::format(
      "<section id=\"significance\"><h2>Is the difference more than chance?</h2>\n<p class=\"lead\">Relative "
      "difference of the model's error "
      "to each baseline's with a 95 % interval: a paired bootstrap over {} series, {} resamples. A win or "
      "loss is called one "
      "only when the interval leaves out 0.</p>\n<figure>{}</figure></section>\n",
      format_count(static_cast<double>(result.comparisons.front().series)),
      format_count(static_cast<double>(result.config.bootstrap)), comparison_plot(result.comparisons));
}

std::string horizon_section(const BacktestResult& result) {
  if (levels_of(result.forecasters.front(), "horizon").empty()) return {};
  return fmt::format(
      "<section id=\"by-horizon\"><h2>By horizon</h2>\n<p class=\"lead\">MAE at each step ahead of the "
      "origin.</p>\n"
      "<figure>{}</figure></section>\n",
      horizon_plot(result, "mae"));
}

std::string groups_section(const BacktestResult& result) {
  std::string html;
  for (const std::string& group : group_names(result)) html += group_section(result, group);
  if (!result.absent_groups.empty())
    html += fmt::format("<p class=\"small\">Asked for, but the corpus names no such level: {}.</p>\n",
                        escape_html(fmt::format("{}", fmt::join(result.absent_groups, ", "))));
  return html;
}

std::string calibration_section(const BacktestResult& result) {
  const ForecasterResult& forecaster = result.forecasters.front();
  if (forecaster.levels.empty() || !forecaster.overall.score("mae").value) return {};
  std::string rows;
  for (const Score& score : forecaster.overall.scores) {
    if (!score.metric.starts_with("coverage@")) continue;
    rows +=
        fmt::format("<tr><td>{}</td>{}<td>{}</td></tr>\n", format_percent(std::stod(score.metric.substr(9))),
                    cell(score), format_count(static_cast<double>(score.n)));
  }
  return fmt::format(
      "<section id=\"calibration\"><h2>Are the quantiles honest?</h2>\n<p class=\"lead\">Of a good forecast, "
      "a share q of the truth lies at or below "
      "quantile q: points on the dotted line. With many zeros the share lies above it at low levels, because "
      "a quantile of 0 "
      "is met by every zero.</p>\n<div "
      "class=\"halves\"><figure>{}</figure><div><table><thead><tr><th>central interval</th><th>held</th>"
      "<th>n</th></tr></thead><tbody>\n{}</tbody></table></div></div></section>\n",
      calibration_plot(forecaster), rows);
}

std::string notes_section(const BacktestResult& result) {
  const std::string gaps = result.config.seasonal_gaps == SeasonalGaps::last_season
                               ? "the last observed value of the same season step"
                               : "the last value observed before it";
  return fmt::format(
      "<section id=\"notes\"><h2>Notes on scoring</h2>\n"
      "<p><b>What is judged.</b> The median is the best forecast under absolute error and the mean under "
      "squared error, so MAE, WAPE and "
      "MASE judge the median, MSE, RMSE and bias the mean head. A point forecast is both. A step whose "
      "demand was not "
      "observed counts for nobody; padding never counts.</p>\n"
      "<p><b>Definitions.</b> MAE = mean |y − f|. MSE = mean (y − f)². RMSE = √MSE. bias = mean (f − y). "
      "WAPE = Σ|y − f| / Σ|y|. MASE = mean of "
      "|y − f| over the mean |y<sub>t</sub> − y<sub>t−{}</sub>| of the series before the origin; series "
      "whose scale is 0 are left out, which its n "
      "shows. pinball = mean over levels q of max(q(y − f), (q − 1)(y − f)). Means are over all judged "
      "steps; “mean of "
      "windows” first averages each origin, then the origins, as some published tables do (WAPE there "
      "divides by at least 1).</p>\n"
      "<p><b>Baselines.</b> Seasonal Naive repeats the last season of {} steps; where a step of it was not "
      "observed, {} stands in. Moving average: "
      "the mean of the last {} steps. Naive repeats the last observed value. All see the same context as the "
      "model; one "
      "without any observation forecasts 0.</p>\n"
      "<p><b>Chance.</b> Series are drawn with replacement, all forecasters on the same draws. This speaks "
      "for other series like these "
      "in the same weeks, not for other weeks.</p></section>\n",
      result.config.season, result.config.season, gaps, result.config.window);
}

}  // namespace shelfcast::eval
