// Where it was found: by category, horizon and every other group.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>

#include "eval/report/sections.h"
#include "eval/report/text.h"
#include "eval/views.h"

namespace shelfcast::eval {
namespace {

constexpr std::size_t kLevelsShown = 12, kHeatMapLevels = 30;

std::vector<const GroupScores*> levels_of(const ForecasterResult& forecaster, const std::string& group) {
  std::vector<const GroupScores*> levels;
  for (const GroupScores& scores : forecaster.groups)
    if (scores.group == group) levels.push_back(&scores);
  return levels;
}

// Demand behind a level: n times the mean of |y|, which is mae / wape.
double volume(const GroupScores& level) {
  const Score mae = level.score("mae"), wape = level.score("wape");
  return mae.value && wape.value && *wape.value > 0 ? static_cast<double>(mae.n) * *mae.value / *wape.value
                                                    : 0.0;
}

std::string group_table(const BacktestResult& result, const std::string& group,
                        const std::vector<std::string>& levels) {
  std::string html = fmt::format(
      "<details><summary>Table: errors by {0}</summary><div class=\"scroll\"><table><thead><tr><th>{0}</th>"
      "<th>forecaster</th><th>n</th><th>MAE</th><th>MSE</th><th>WAPE</th><th>MASE</th><th>bias</th>"
      "</tr></thead><tbody>\n",
      escape_html(group));
  for (const std::string& level : levels) {
    for (std::size_t i = 0; i < result.forecasters.size(); ++i) {
      const GroupScores* scores = find_group(result.forecasters[i], group, level);
      if (scores == nullptr) continue;
      html += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td>", i == 0 ? escape_html(level) : "",
                          escape_html(result.forecasters[i].name),
                          format_count(static_cast<double>(scores->score("mae").n)));
      for (const char* metric : {"mae", "mse", "wape", "mase", "bias"})
        html += score_cell(scores->score(metric));
      html += "</tr>\n";
    }
  }
  return html + "</tbody></table></div></details>\n";
}

std::string group_section(const BacktestResult& result, const std::string& group, Page& page) {
  const std::size_t all = levels_of(result.forecasters.front(), group).size();
  const std::vector<std::string> levels = largest_levels(result, group, kLevelsShown);
  const bool view = std::ranges::any_of(result.config.views, [&group](const std::string& name) {
    return group == name || group.starts_with(view_group(name, ""));
  });
  std::string note =
      view ? "Truth and forecasts added up over whole calendar periods; the sum of means is judged. " : "";
  note += "WAPE: error as a share of demand, so that levels of different size compare. ";
  if (all > levels.size())
    note += fmt::format("The {} of {} levels with the largest demand; all are in metrics.csv of the run.",
                        levels.size(), format_count(static_cast<double>(all)));
  return fmt::format(
      "<section id=\"by-{0}\"><h2>By {0}</h2>\n<p class=\"lead\">{1}</p>\n{2}{3}{4}</section>\n",
      escape_html(group), note, legend(result), page.figure(level_plot(result, group, levels, "wape")),
      group_table(result, group, levels));
}

}  // namespace

std::vector<std::string> largest_levels(const BacktestResult& result, const std::string& group,
                                        std::size_t most) {
  std::vector<const GroupScores*> levels = levels_of(result.forecasters.front(), group);
  std::ranges::stable_sort(levels, std::greater<>{}, [](const GroupScores* level) { return volume(*level); });
  std::vector<std::string> names;
  for (std::size_t i = 0; i < std::min(levels.size(), most); ++i) names.push_back(levels[i]->level);
  return names;
}

std::vector<std::string> group_names(const BacktestResult& result) {
  std::vector<std::string> names;
  for (const GroupScores& scores : result.forecasters.front().groups)
    if (scores.group != "horizon" && scores.group != "hierarchy" && scores.group != "orders" &&
        scores.group != "classes" && std::ranges::find(names, scores.group) == names.end())
      names.push_back(scores.group);
  return names;
}

std::string heat_map_section(const ReportData& data, Page& page) {
  const std::vector<std::string> groups = group_names(data.result);
  if (groups.empty()) return {};
  // Categories where there are some, else the first group that was asked for.
  const std::string group =
      std::ranges::find(groups, "category") != groups.end() ? "category" : groups.front();
  const std::vector<std::string> levels = largest_levels(data.result, group, kHeatMapLevels);
  return fmt::format(
      "<section id=\"heat-map\"><h2>Who is good where</h2>\n<p class=\"lead\">MAE by {} and forecaster. "
      "Green: below the "
      "level's best baseline, red: above it; the stronger, the further.</p>\n{}</section>\n",
      escape_html(group), page.figure(heat_map(data.result, group, levels, "mae"), "natural"));
}

std::string horizon_section(const ReportData& data, Page& page) {
  if (levels_of(data.result.forecasters.front(), "horizon").empty()) return {};
  return fmt::format(
      "<section id=\"by-horizon\"><h2>By horizon</h2>\n<p class=\"lead\">MAE at each step ahead of the "
      "origin.</p>\n{}{}</section>\n",
      legend(data.result), page.figure(horizon_plot(data.result, "mae")));
}

std::string groups_section(const ReportData& data, Page& page) {
  std::string html;
  for (const std::string& group : group_names(data.result)) html += group_section(data.result, group, page);
  if (!data.result.absent_groups.empty())
    html += fmt::format("<p class=\"small\">Asked for, but the corpus names no such level: {}.</p>\n",
                        escape_html(fmt::format("{}", fmt::join(data.result.absent_groups, ", "))));
  return html;
}

}  // namespace shelfcast::eval
