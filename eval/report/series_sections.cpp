// Single series, and the quantiles of all.
#include <fmt/format.h>

#include "eval/report/sections.h"
#include "eval/report/text.h"

namespace shelfcast::eval {

std::string fans_section(const ReportData& data, Page& page) {
  const BacktestResult& result = data.result;
  if (result.fans.empty()) return {};
  const ForecasterResult& model = result.forecasters.front();
  std::string html = fmt::format(
      "<section id=\"fans\"><h2>Forecasts against the truth</h2>\n<p class=\"lead\">Series from the last "
      "origin, {}: large sellers, typical errors, large errors and draws at random, in turn; not a "
      "flattering "
      "pick.</p>\n<div class=\"legend\"><span><i class=\"key history\"></i>history</span><span><i "
      "class=\"key "
      "truth\"></i>truth</span><span><i class=\"swatch f0\"></i>{} (median)</span>",
      result.date_of(result.fans.front().origin), escape_html(model.name));
  if (!model.levels.empty())
    html += fmt::format(
        "<span><i class=\"key band\"></i>quantiles {:g} to {:g}, stronger towards the middle</span>",
        model.levels.front(), model.levels.back());
  if (result.models < result.forecasters.size())
    html += fmt::format("<span><i class=\"swatch {}\"></i>{}</span>", forecaster_style(result, result.models),
                        escape_html(result.forecasters[result.models].name));
  html += "</div>\n<div class=\"fans\">\n";
  for (const Fan& fan : result.fans)
    html += page.figure(fan_plot(result, fan), "fan",
                        fmt::format("<figcaption><h3>{}</h3><span>{}</span></figcaption>",
                                    escape_html(fan.series), escape_html(fan.why)));
  return html + "</div></section>\n";
}

std::string worst_section(const ReportData& data) {
  if (data.worst.empty()) return {};
  std::string html = fmt::format(
      "<section id=\"worst\"><h2>Where most of the error is</h2>\n<p class=\"lead\">Series with the largest "
      "sums of "
      "absolute errors of {}.</p>\n<div "
      "class=\"scroll\"><table><thead><tr><th>series</th><th>category</th><th>n</th>"
      "<th>MAE</th><th>WAPE</th><th>share of all error</th></tr></thead><tbody>\n",
      escape_html(data.result.forecasters.front().name));
  for (const WorstSeries& worst : data.worst) {
    const SeriesErrors& errors = worst.errors;
    html += fmt::format(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
        escape_html(worst.series), escape_html(worst.category), format_count(static_cast<double>(errors.n)),
        format_number(errors.absolute_error / static_cast<double>(errors.n)),
        errors.absolute_target > 0 ? format_percent(errors.absolute_error / errors.absolute_target) : "–",
        format_percent(worst.share));
  }
  return html + "</tbody></table></div></section>\n";
}

std::string calibration_section(const ReportData& data, Page& page) {
  const ForecasterResult& forecaster = data.result.forecasters.front();
  if (forecaster.levels.empty() || !forecaster.overall.score("mae").value) return {};
  std::string rows;
  for (const Score& score : forecaster.overall.scores) {
    if (!score.metric.starts_with("coverage@")) continue;
    rows +=
        fmt::format("<tr><td>{}</td>{}<td>{}</td></tr>\n", format_percent(std::stod(score.metric.substr(9))),
                    score_cell(score), format_count(static_cast<double>(score.n)));
  }
  return fmt::format(
      "<section id=\"calibration\"><h2>Are the quantiles honest?</h2>\n<p class=\"lead\">Of a good forecast, "
      "a share q of the truth lies at or below quantile q: points on the dotted line. With many zeros the "
      "share "
      "lies above it at low levels, because a quantile of 0 is met by every zero.</p>\n{}<div "
      "class=\"halves\">{}<div><table><thead><tr><th>central interval of {}</th><th>held</th>"
      "<th>n</th></tr></thead><tbody>\n{}</tbody></table></div></div></section>\n",
      legend(data.result), page.figure(calibration_plot(data.result), "natural calibration"),
      escape_html(forecaster.name), rows);
}

}  // namespace shelfcast::eval
