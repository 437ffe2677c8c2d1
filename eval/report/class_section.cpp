// Low, normal and high demand: who tells them apart.
#include <fmt/ranges.h>

#include "eval/demand_level.h"
#include "eval/report/sections.h"
#include "eval/report/text.h"

namespace shelfcast::eval {
namespace {

// Rows are truths; a row's shares add up to 100 %.
std::string confusion_table(const ForecasterResult& forecaster) {
  std::string html =
      fmt::format("<h3>What {} forecasts</h3>\n<div class=\"scroll\"><table><thead><tr><th>demand was</th>",
                  escape_html(forecaster.name));
  for (const std::string& level : demand_levels()) html += fmt::format("<th>forecast {}</th>", level);
  html += "<th>n</th></tr></thead><tbody>\n";
  for (const std::string& truth : demand_levels()) {
    const std::int64_t n = forecaster.overall.score("recall@" + truth).n;
    html += fmt::format("<tr><td>{}</td>", truth);
    for (const std::string& level : demand_levels()) {
      const Score cell = forecaster.overall.score(fmt::format("confusion@{}>{}", truth, level));
      html += n == 0 ? std::string("<td class=\"small\">n = 0</td>")
                     : fmt::format("<td>{} ({})</td>", format_count(static_cast<double>(cell.n)),
                                   format_percent(static_cast<double>(cell.n) / static_cast<double>(n)));
    }
    html += fmt::format("<td>{}</td></tr>\n", format_count(static_cast<double>(n)));
  }
  return html + "</tbody></table></div>\n";
}

// What the classes of forecasts come from.
std::string forecast_by(const BacktestResult& result) {
  std::vector<std::string> heads;
  for (const ForecasterResult& forecaster : result.forecasters)
    if (forecaster.says_classes) heads.push_back(escape_html(forecaster.name));
  if (heads.empty()) return "median forecast";
  return fmt::format("median forecast ({}: the likeliest class of the model's own head)",
                     fmt::join(heads, ", "));
}

}  // namespace

std::string class_section(const ReportData& data) {
  const BacktestResult& result = data.result;
  const std::vector<double>& shares = result.config.classes;
  if (shares.empty()) return {};
  std::string html = fmt::format(
      "<section id=\"classes\"><h2>Low, normal and high demand</h2>\n<p class=\"lead\">Each step's demand "
      "and each {} against the series' own past, up to {}: low up to its {:g} quantile, high above its "
      "{:g} "
      "quantile. F1 is the harmonic mean of precision and recall.</p>\n<div "
      "class=\"scroll\"><table><thead><tr>"
      "<th>forecaster</th><th>accuracy</th><th>F1, macro</th><th>F1, weighted</th>",
      forecast_by(result), result.date_of(result.judgement.cut_off() - 1), shares[0], shares[1]);
  for (const std::string& level : demand_levels())
    html += fmt::format("<th>precision, {0}</th><th>recall, {0}</th>", level);
  html += "<th>n</th></tr></thead><tbody>\n";
  for (std::size_t i = 0; i < result.forecasters.size(); ++i) {
    const GroupScores& overall = result.forecasters[i].overall;
    html += fmt::format("<tr{}><td>{}</td>", i < result.models ? " class=\"model\"" : "",
                        escape_html(result.forecasters[i].name));
    for (const char* metric : {"accuracy", "f1_macro", "f1_weighted"})
      html += score_cell(overall.score(metric));
    for (const std::string& level : demand_levels())
      html += score_cell(overall.score("precision@" + level)) + score_cell(overall.score("recall@" + level));
    html += fmt::format("<td>{}</td></tr>\n", format_count(static_cast<double>(overall.score("accuracy").n)));
  }
  return html + "</tbody></table></div>\n" + confusion_table(result.forecasters.front()) + "</section>\n";
}

}  // namespace shelfcast::eval
