// What was found: verdict, main table, significance, sums of series.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "eval/report/main_table.h"
#include "eval/report/sections.h"
#include "eval/report/text.h"
#include "eval/report/verdict.h"

namespace shelfcast::eval {
namespace {

constexpr const char* kDash = "<td class=\"small\">–</td>";

std::string tile(const std::string& value, const std::string& name) {
  return fmt::format("<div class=\"tile\"><b>{}</b><span>{}</span></div>\n", value, escape_html(name));
}

// Millions are shortened to fit a tile.
std::string brief(const std::string& metric, double value) {
  if (std::abs(value) < 1e6) return format_score(metric, value);
  return std::abs(value) < 1e9 ? format_number(value / 1e6) + " M" : format_number(value / 1e9) + " bn";
}

std::string cell(const std::string& metric, const MainTable::Cell& cell) {
  if (!cell.value) return kDash;
  const char* mark = cell.verdict == Verdict::better  ? "<sup>*</sup>"
                     : cell.verdict == Verdict::worse ? "<sup class=\"worse\">†</sup>"
                                                      : "";
  return fmt::format("<td{}>{}{}</td>", cell.best ? " class=\"best\"" : "", format_score(metric, *cell.value),
                     mark);
}

std::string row_html(const ReportData& data, const MainTable& table, const MainTable::Row& row) {
  std::string html;
  if (row.kind == MainTable::Row::Kind::published) {
    html = fmt::format("<tr class=\"published\"><td><i class=\"swatch unplotted\"></i>{} (published)</td>{}",
                       escape_html(row.name), kDash);
  } else {
    html = fmt::format("<tr{}><td><i class=\"swatch {}\"></i>{}</td><td>{}</td>",
                       row.kind == MainTable::Row::Kind::model ? " class=\"model\"" : "",
                       forecaster_style(data.result, row.forecaster), escape_html(row.name),
                       format_count(static_cast<double>(row.n)));
  }
  for (std::size_t c = 0; c < table.metrics.size(); ++c) html += cell(table.metrics[c], row.cells[c]);
  return html + "</tr>\n";
}

std::string table_html(const ReportData& data, const MainTable& table) {
  std::string html = "<div class=\"scroll\"><table><thead><tr><th>forecaster</th><th>n</th>";
  for (const std::string& metric : table.metrics) html += fmt::format("<th>{}</th>", title_of(metric));
  html += "</tr></thead><tbody>\n";
  for (const MainTable::Row& row : table.rows) html += row_html(data, table, row);
  return html + "</tbody></table></div>\n";
}

std::string notes_html(const BacktestResult& result) {
  std::string html;
  for (const std::string& note : table_notes(result))
    html += fmt::format("<p class=\"small\">{}</p>\n", escape_html(note));
  return html;
}

std::string published_note(const ReportData& data) {
  std::string html;
  for (const PublishedTask& task : data.published)
    html += task.mismatch.empty()
                ? fmt::format(
                      "<p class=\"small\">Published rows of {}: {}. They stand beside the means of windows, "
                      "which they report.</p>\n",
                      escape_html(task.name), escape_html(task.source))
                : fmt::format("<p class=\"small\">Published rows of {} are left out: {}.</p>\n",
                              escape_html(task.name), escape_html(task.mismatch));
  return html;
}

// One row a comparison, with both tests.
std::string comparison_table(const std::vector<Comparison>& comparisons, const std::string& summary) {
  std::string html = fmt::format(
      "<details><summary>{}</summary><div class=\"scroll\"><table><thead><tr><th>model</th><th>against</th>"
      "<th>category</th><th>metric</th><th>difference</th><th>95 % interval over series</th><th>series</th>"
      "<th>Diebold-Mariano</th><th>p</th><th>dates</th><th>verdict</th></tr></thead><tbody>\n",
      summary);
  for (const Comparison& c : comparisons) {
    html += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td>", escape_html(c.model),
                        escape_html(c.baseline), c.category.empty() ? "all" : escape_html(c.category),
                        title_of(c.metric));
    html += c.difference ? fmt::format("<td>{:+.2f} %</td>", 100 * *c.difference)
                         : "<td class=\"small\">n = 0</td>";
    html +=
        c.low && c.high ? fmt::format("<td>{:+.2f} to {:+.2f} %</td>", 100 * *c.low, 100 * *c.high) : kDash;
    html += fmt::format("<td>{}</td>", format_count(static_cast<double>(c.series)));
    html += c.dates ? fmt::format("<td>{:.2f}</td><td>{:.2g}</td><td>{}</td>", c.dates->statistic, c.dates->p,
                                  c.dates->dates)
                    : fmt::format("{0}{0}{0}", kDash);
    html += fmt::format("<td>{}</td></tr>\n", to_string(c.verdict));
  }
  return html + "</tbody></table></div></details>\n";
}

// Those of the first model.
std::vector<Comparison> of_first(const BacktestResult& result) {
  std::vector<Comparison> comparisons;
  for (const Comparison& c : result.comparisons)
    if (c.model == result.forecasters.front().name) comparisons.push_back(c);
  return comparisons;
}

}  // namespace

std::string score_cell(const Score& score) {
  if (!score.value) return score.n == 0 ? "<td class=\"small\">n = 0</td>" : kDash;
  return fmt::format("<td>{}</td>", format_score(score.metric, *score.value));
}

std::string legend(const BacktestResult& result) {
  std::string html = "<div class=\"legend\">";
  for (const std::size_t i : plotted_forecasters(result))
    html += fmt::format("<span><i class=\"swatch {}\"></i>{}</span>", forecaster_style(result, i),
                        escape_html(result.forecasters[i].name));
  return html + "</div>\n";
}

std::string verdict_section(const ReportData& data) {
  const Summary summary = summarise(data);
  std::string html = fmt::format("<div class=\"verdict {}\"><p class=\"headline\">{}</p>\n",
                                 to_string(summary.verdict), escape_html(summary.headline));
  for (const std::string& sentence : summary.sentences)
    html += fmt::format("<p>{}</p>\n", escape_html(sentence));
  return html + "</div>\n";
}

std::string tiles_section(const ReportData& data) {
  const GroupScores& overall = data.result.forecasters.front().overall;
  std::string html = "<div class=\"tiles\">\n";
  for (const auto& [metric, name] : std::vector<std::pair<std::string, std::string>>{
           {"mae", "MAE"}, {"mse", "MSE"}, {"wape", "WAPE"}, {"mase", "MASE"}, {"bias", "bias per step"}}) {
    const Score score = overall.score(metric);
    html += tile(score.value ? brief(metric, *score.value) : "n = 0", name);
  }
  html += tile(format_count(data.result.judgement.targets), "targets judged (n)");
  return html + "</div>\n";
}

std::string main_table_section(const ReportData& data) {
  return "<section id=\"results\"><h2>Results</h2>\n<p class=\"lead\">All forecasters on the same windows. "
         "MAE, "
         "WAPE and MASE judge the median, MSE, RMSE and bias the mean. Bold: the best of its column. "
         "<sup>*</sup> significantly better and <sup class=\"worse\">†</sup> significantly worse than the "
         "baseline strongest in that metric (MAE, MSE, WRMSSE and WQL, where point forecasts stand for each "
         "quantile); models whose own backtest lacks that baseline have no mark. Plots show six forecasters "
         "at "
         "most.</p>\n" +
         table_html(data, main_table(data, main_metrics())) + notes_html(data.result) +
         "<details open><summary>Means of windows, as some published tables average</summary>\n<p "
         "class=\"small\">Each origin is averaged over all series and steps, then the origins with equal "
         "weight.</p>\n" +
         table_html(data, main_table(data, window_metrics())) + "</details>" + published_note(data) +
         "<details><summary>More measures</summary>\n" + table_html(data, main_table(data, more_metrics())) +
         "</details></section>\n";
}

std::string comparison_section(const ReportData& data, Page& page) {
  const BacktestResult& result = data.result;
  if (result.comparisons.empty()) return {};
  std::string html = fmt::format(
      "<section id=\"significance\"><h2>Is the difference more than chance?</h2>\n<p class=\"lead\">Relative "
      "difference of the error of {} to each baseline's with a 95 % interval: a paired bootstrap over {} "
      "series, {} "
      "resamples. A win or loss is called one only when the interval leaves out 0 and the test of Diebold "
      "and "
      "Mariano over target dates, where there are enough of them, finds the same at 5 %.</p>\n{}",
      escape_html(result.forecasters.front().name),
      format_count(static_cast<double>(result.comparisons.front().series)),
      format_count(static_cast<double>(result.config.bootstrap)),
      page.figure(comparison_plot(of_first(result))));
  if (!data.between.empty())
    html += "<h3>Against the other runs</h3>\n" + page.figure(comparison_plot(data.between)) +
            comparison_table(data.between, "Table: against the other runs");
  html += comparison_table(result.comparisons, "Table: against baselines, all series");
  if (!result.category_comparisons.empty())
    html += comparison_table(result.category_comparisons, "Table: against baselines, by category");
  return html + "</section>\n";
}

std::string hierarchy_section(const ReportData& data) {
  const BacktestResult& result = data.result;
  std::vector<std::string> levels;
  for (const GroupScores& group : result.forecasters.front().groups)
    if (group.group == "hierarchy") levels.push_back(group.level);
  if (levels.empty()) return {};
  std::string html =
      "<section id=\"hierarchy\"><h2>Sums of series</h2>\n<p class=\"lead\">WRMSSE of the sums on each "
      "level, "
      "weighted by sales value: orders, transport and budgets live on different levels.</p>\n<div "
      "class=\"scroll\"><table><thead><tr><th>forecaster</th>";
  for (const std::string& level : levels) html += fmt::format("<th>{}</th>", escape_html(level));
  html += "<th>mean</th></tr></thead><tbody>\n";
  for (std::size_t i = 0; i < result.forecasters.size(); ++i) {
    const ForecasterResult& forecaster = result.forecasters[i];
    html += fmt::format("<tr{}><td>{}</td>", i < result.models ? " class=\"model\"" : "",
                        escape_html(forecaster.name));
    for (const std::string& level : levels) {
      const GroupScores* scores = find_group(forecaster, "hierarchy", level);
      html += scores != nullptr ? score_cell(scores->score("wrmsse")) : kDash;
    }
    html += score_cell(forecaster.overall.score("wrmsse")) + "</tr>\n";
  }
  return html + "</tbody></table></div></section>\n";
}

std::string orders_section(const ReportData& data) {
  const BacktestResult& result = data.result;
  const OrderConfig& orders = result.config.orders;
  if (!result.forecasters.front().overall.score("order_cost").value) return {};
  std::string html = fmt::format(
      "<section id=\"orders\"><h2>What orders would have cost</h2>\n<p class=\"lead\">A base-stock policy "
      "fed by each "
      "forecaster's mean: reviewed every {} steps, orders arrive after {}, unmet demand is lost. Each "
      "forecaster has "
      "the safety stock of each category that was cheapest for it on windows that had ended by the origin; "
      "origins before which none had only teach. "
      "Costs count a unit held for one step as 1 and a lost unit as {:.4g}, which makes {:.6g} % the right "
      "service level; "
      "by unit of demand.</p>\n<div "
      "class=\"scroll\"><table><thead><tr><th>forecaster</th><th>cost</th><th>against the "
      "cheapest baseline</th><th>fill rate</th><th>steps of demand in "
      "stock</th><th>n</th></tr></thead><tbody>\n",
      orders.review, orders.lead,
      static_cast<double>(orders.review) * orders.service / (1.0 - orders.service), 100.0 * orders.service);
  const ForecasterResult* cheapest = strongest_baseline(result, "order_cost");
  for (std::size_t i = 0; i < result.forecasters.size(); ++i) {
    const GroupScores& overall = result.forecasters[i].overall;
    const Score cost = overall.score("order_cost");
    html += fmt::format("<tr{}><td>{}</td>{}", i < result.models ? " class=\"model\"" : "",
                        escape_html(result.forecasters[i].name), score_cell(cost));
    html += cheapest != nullptr && cost.value
                ? fmt::format("<td>{:+.1f} %</td>",
                              100 * (*cost.value / *cheapest->overall.score("order_cost").value - 1.0))
                : std::string(kDash);
    html += fmt::format("{}{}<td>{}</td></tr>\n", score_cell(overall.score("fill_rate")),
                        score_cell(overall.score("stock_cover")), format_count(static_cast<double>(cost.n)));
  }
  return html + "</tbody></table></div></section>\n";
}

}  // namespace shelfcast::eval
