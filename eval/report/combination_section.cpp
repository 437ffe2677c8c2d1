// What combinations are made of.
#include <fmt/format.h>

#include <algorithm>

#include "eval/report/sections.h"
#include "eval/report/text.h"

namespace shelfcast::eval {
namespace {

constexpr std::size_t kRows = 40;

// The weights of one combination in one level of series, over all origins.
struct WeightsRow {
  std::string combination, level;
  std::vector<double> sum, least, most;  // [member]
  double origins = 0.0;
};

std::vector<WeightsRow> rows_of(const Combinations& combinations) {
  std::vector<WeightsRow> rows;
  for (const CombinationWeights& weights : combinations.weights) {
    auto row = std::ranges::find_if(rows, [&](const WeightsRow& r) {
      return r.combination == weights.combination && r.level == weights.level;
    });
    if (row == rows.end())
      row = rows.insert(row, {weights.combination, weights.level, std::vector<double>(weights.weights.size()),
                              weights.weights, weights.weights, 0.0});
    row->origins += 1.0;
    for (std::size_t i = 0; i < weights.weights.size(); ++i) {
      row->sum[i] += weights.weights[i];
      row->least[i] = std::min(row->least[i], weights.weights[i]);
      row->most[i] = std::max(row->most[i], weights.weights[i]);
    }
  }
  return rows;
}

std::string weight_cell(const WeightsRow& row, std::size_t member) {
  const double mean = row.sum[member] / row.origins;
  if (row.least[member] == row.most[member]) return fmt::format("<td>{:.2f}</td>", mean);
  return fmt::format("<td>{:.2f} <span class=\"small\">({:.2f} to {:.2f})</span></td>", mean,
                     row.least[member], row.most[member]);
}

}  // namespace

std::string combination_section(const ReportData& data) {
  const Combinations& combinations = data.result.combinations;
  const std::vector<WeightsRow> rows = rows_of(combinations);
  if (rows.empty()) return {};
  std::string html = fmt::format(
      "<section id=\"combinations\"><h2>What was combined</h2>\n<p class=\"lead\">The weights that each "
      "combination "
      "learnt on earlier origins: their mean over the {} origins, and between what they moved. The first "
      "origin has "
      "nothing to learn from: equal weights.{}</p>\n<div "
      "class=\"scroll\"><table><thead><tr><th>combination</th>"
      "<th>series</th>",
      format_count(rows.front().origins),
      data.runs.size() > 1 ? " Of " + escape_html(data.runs.front().name) + ", the first run."
                           : std::string());
  for (const std::string& member : combinations.members)
    html += fmt::format("<th>{}</th>", escape_html(member));
  html += "</tr></thead><tbody>\n";
  for (std::size_t i = 0; i < std::min(rows.size(), kRows); ++i) {
    html += fmt::format("<tr><td>{}</td><td>{}</td>", escape_html(rows[i].combination),
                        escape_html(rows[i].level));
    for (std::size_t member = 0; member < combinations.members.size(); ++member)
      html += weight_cell(rows[i], member);
    html += "</tr>\n";
  }
  html += "</tbody></table></div>\n";
  if (rows.size() > kRows)
    html += fmt::format("<p class=\"small\">The first {} of {}; all are in result.json of the run.</p>\n",
                        kRows, rows.size());
  return html + "</section>\n";
}

}  // namespace shelfcast::eval
