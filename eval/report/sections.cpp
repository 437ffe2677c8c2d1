#include "eval/report/sections.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "eval/baselines/catalogue.h"
#include "eval/report/plots.h"
#include "eval/report/svg.h"

namespace shelfcast::eval {
namespace {

constexpr std::size_t kLevelsShown = 12;
constexpr const char* kEmpty = "<td class=\"small\">n = 0</td>";

std::string shown(const Score& score) { return format_score(score.metric, *score.value); }

std::string cell(const Score& score, bool best = false) {
  if (!score.value) return score.n == 0 ? kEmpty : "<td class=\"small\">–</td>";
  return fmt::format("<td{}>{}</td>", best ? " class=\"best\"" : "", shown(score));
}

std::string legend(const BacktestResult& result) {
  std::string html = "<div class=\"legend\">";
  for (const std::size_t i : plotted_forecasters(result))
    html += fmt::format("<span><i class=\"swatch {}\"></i>{}</span>", forecaster_style(result, i),
                        escape_html(result.forecasters[i].name));
  return html + "</div>\n";
}

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

// Demand behind a level: n times the mean of |y|, which is mae / wape.
double volume(const GroupScores& level) {
  const Score mae = level.score("mae"), wape = level.score("wape");
  return mae.value && wape.value && *wape.value > 0 ? static_cast<double>(mae.n) * *mae.value / *wape.value
                                                    : 0.0;
}

std::string group_section(const BacktestResult& result, const std::string& group) {
  std::vector<const GroupScores*> levels = levels_of(result.forecasters.back(), group);
  std::ranges::stable_sort(levels, std::greater<>{}, [](const GroupScores* level) { return volume(*level); });
  const std::size_t all = levels.size();
  std::vector<std::string> names;
  for (std::size_t i = 0; i < std::min(all, kLevelsShown); ++i) names.push_back(levels[i]->level);
  std::string note = "WAPE: error as a share of demand, so that levels of different size compare. ";
  if (all > names.size())
    note += fmt::format("The {} of {} levels with the largest demand; all are in metrics.csv.", names.size(),
                        format_count(static_cast<double>(all)));
  return fmt::format(
      "<section id=\"by-{0}\"><h2>By {0}</h2>\n<p "
      "class=\"lead\">{1}</p>\n{2}<figure class=\"wide\">{3}</figure>\n{4}</section>\n",
      escape_html(group), note, legend(result), level_plot(result, group, names, "wape"),
      group_table(result, group, names));
}

using Columns = std::vector<std::pair<std::string, std::string>>;  // metric, title

// Overall scores, a row for each forecaster; the smallest of each column is marked.
std::string score_table(const BacktestResult& result, const Columns& columns) {
  std::string html = "<div class=\"scroll\"><table><thead><tr><th>forecaster</th><th>n</th>";
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
                        i < result.models ? " class=\"model\"" : "", forecaster_style(result, i),
                        escape_html(forecaster.name),
                        format_count(static_cast<double>(forecaster.overall.score("mae").n)));
    for (const auto& [metric, title] : columns) {
      const Score score = forecaster.overall.score(metric);
      const bool of_quantiles =
          metric == "pinball" || metric.starts_with("wql") || metric.starts_with("sql") || metric == "crps";
      html += of_quantiles && forecaster.levels.empty()
                  ? "<td class=\"small\">–</td>"
                  : cell(score, score.value && std::abs(*score.value) == best[metric]);
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

}  // namespace

std::string main_table_section(const BacktestResult& result) {
  const Columns main{{"mae", "MAE"},   {"mse", "MSE"},   {"rmse", "RMSE"},       {"bias", "bias"},
                     {"wape", "WAPE"}, {"mase", "MASE"}, {"pinball", "pinball"}, {"wql", "WQL"}};
  const Columns windows{{"mase_window_mean", "MASE"},
                        {"wape_window_mean", "WAPE"},
                        {"wql_window_mean", "WQL"},
                        {"sql_window_mean", "SQL"}};
  return "<section id=\"results\"><h2>Results</h2>\n<p class=\"lead\">All forecasters on the same windows. "
         "MAE, WAPE and MASE "
         "judge the median, MSE, RMSE and bias the mean. Bold: the best of its column. Plots show six "
         "forecasters at most: the model, the first "
         "baseline and those with the smallest MAE.</p>\n" +
         score_table(result, main) + "<details><summary>Table: more measures</summary>\n" +
         score_table(result, {{"smape", "sMAPE"}, {"rmsse", "RMSSE"}, {"sql", "SQL"}, {"crps", "CRPS"}}) +
         "</details>" +
         "<details><summary>Table: means of windows, as some published tables average</summary>\n<p "
         "class=\"small\">Each origin "
         "is averaged over all series and steps, then the origins with equal weight.</p>\n" +
         score_table(result, windows) + "</details></section>\n";
}

std::string comparison_section(const BacktestResult& result) {
  if (result.comparisons.empty()) return {};
  return fmt::format(
      "<section id=\"significance\"><h2>Is the difference more than chance?</h2>\n<p class=\"lead\">Relative "
      "difference of the model's error "
      "to each baseline's with a 95 % interval: a paired bootstrap over {} series, {} resamples. A win or "
      "loss is called one "
      "only when the interval leaves out 0.</p>\n<figure class=\"wide\">{}</figure></section>\n",
      format_count(static_cast<double>(result.comparisons.front().series)),
      format_count(static_cast<double>(result.config.bootstrap)), comparison_plot(result.comparisons));
}

std::string horizon_section(const BacktestResult& result) {
  if (levels_of(result.forecasters.front(), "horizon").empty()) return {};
  return fmt::format(
      "<section id=\"by-horizon\"><h2>By horizon</h2>\n<p class=\"lead\">MAE at each step ahead of the "
      "origin.</p>\n"
      "<figure class=\"wide\">{}</figure></section>\n",
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
      "class=\"halves\"><figure class=\"calibration\">{}</figure><div><table><thead><tr><th>central "
      "interval</th><th>held</th>"
      "<th>n</th></tr></thead><tbody>\n{}</tbody></table></div></div></section>\n",
      calibration_plot(forecaster), rows);
}

std::string notes_section(const BacktestResult& result) {
  const std::string gaps = result.config.seasonal_gaps == SeasonalGaps::last_season
                               ? "the value one season before it"
                               : "the value before it";
  std::string baselines;
  for (const std::string& name : result.config.baselines) {
    const BaselineText baseline = describe_baseline(name, result.config.window);
    baselines += fmt::format(" <em>{}</em>: {}.", baseline.label, escape_html(baseline.about));
  }
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
      "<p><b>Baselines</b> see the whole history before an origin; one without any observation forecasts 0. "
      "For a step that was not observed {} stands in; a season has {} steps.{}</p>\n"
      "<p><b>Chance.</b> Series are drawn with replacement, all forecasters on the same draws. This speaks "
      "for other series like these "
      "in the same weeks, not for other weeks.</p></section>\n",
      result.config.season, gaps, result.config.season, baselines);
}

}  // namespace shelfcast::eval
