// How it came about: training, resources, protocol, data, environment, commands, definitions.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "eval/baselines/catalogue.h"
#include "eval/report/facts.h"
#include "eval/report/resources.h"
#include "eval/report/sections.h"
#include "eval/report/text.h"

namespace shelfcast::eval {
namespace {

std::string fact(const std::string& name, const std::string& value) {
  return fmt::format("<dt>{}</dt><dd>{}</dd>\n", escape_html(name), escape_html(value));
}

std::string facts_of(const Facts& facts) {
  std::string html = "<dl>\n";
  for (const auto& [name, value] : facts) html += fact(name, value);
  return html + "</dl>\n";
}

}  // namespace

std::string training_section(const ReportData& data, Page& page) {
  std::vector<Curve> losses, validations;
  // Runs' own before those of the members of ensembles.
  for (const bool own : {true, false}) {
    for (const ReportRun& run : data.runs) {
      for (const TrainingRecord& training : run.trainings) {
        if (training.name.empty() != own || losses.size() == 6) continue;
        losses.push_back(training.loss);
        validations.push_back(training.validation);
        losses.back().name = validations.back().name = training_name(run, training);
      }
    }
  }
  if (losses.empty()) return {};
  return fmt::format(
      "<section id=\"training\"><h2>Training</h2>\n<p class=\"lead\">Loss at logged steps and on the "
      "validation windows, of six trainings at most.</p>\n{}{}</section>\n",
      page.figure(curve_plot(losses, "training loss")),
      page.figure(curve_plot(validations, "validation loss")));
}

std::string resources_section(const ReportData& data) {
  const ResourceTable table = resource_table(data);
  std::string html = "<section id=\"resources\"><h2>Resources</h2>\n<div class=\"scroll\"><table><thead><tr>";
  for (const std::string& title : table.header) html += fmt::format("<th>{}</th>", title);
  html += "</tr></thead><tbody>\n";
  for (const std::vector<std::string>& row : table.rows) {
    html += "<tr>";
    for (const std::string& cell : row) html += fmt::format("<td>{}</td>", escape_html(cell));
    html += "</tr>\n";
  }
  return html + "</tbody></table></div></section>\n";
}

std::string cards_section(const ReportData& data) {
  return "<section id=\"protocol\"><h2>Protocol and data</h2><div class=\"halves\"><div><h3>How it was "
         "judged</h3>\n" +
         facts_of(protocol_facts(data.result)) + "</div><div><h3>What it was judged on</h3>\n" +
         facts_of(data_facts(data.result)) + "</div></div></section>\n";
}

std::string reproduction_section(const ReportData& data) {
  std::string html = "<section id=\"reproduction\"><h2>Where it was made, and how to make it again</h2>\n";
  for (const ReportRun& run : data.runs) {
    html +=
        fmt::format("<h3>{}</h3>\n<div class=\"halves\"><div>{}</div><div>{}</div></div>\n",
                    escape_html(run.name), facts_of(run.metadata.facts), facts_of(run.metadata.environment));
    html += fmt::format("<pre><code>{}</code></pre>\n",
                        escape_html(fmt::format("{}", fmt::join(run.metadata.commands, "\n"))));
  }
  if (data.runs.size() > 1)
    html +=
        fmt::format("<h3>This report</h3>\n<pre><code>{}</code></pre>\n", escape_html(report_command(data)));
  return html + "</section>\n";
}

std::string notes_section(const ReportData& data) {
  const BacktestConfig& config = data.result.config;
  std::string baselines;
  const std::vector<std::string> known = baseline_names();
  for (const std::string& name : config.baselines) {
    if (std::ranges::find(known, name) == known.end()) continue;  // of another version of the program
    const BaselineText baseline = describe_baseline(name, config.window);
    baselines += fmt::format(" <em>{}</em>: {}.", baseline.label, escape_html(baseline.about));
  }
  for (const CombinationMethod& method : combination_methods())
    if (std::ranges::find(config.combine.methods, method.name) != config.combine.methods.end())
      baselines += fmt::format(" <em>{}</em> of several forecasts: {}.", method.label, method.about);
  return fmt::format(
      "<section id=\"notes\"><h2>Notes on scoring</h2>\n"
      "<p><b>What is judged.</b> The median is the best forecast under absolute error and the mean under "
      "squared error, so MAE, WAPE and MASE judge the median, MSE, RMSE and bias the mean head. A point "
      "forecast is "
      "both. A step whose demand was not observed counts for nobody; padding never counts.</p>\n"
      "<p><b>Definitions.</b> MAE = mean |y − f|. MSE = mean (y − f)². RMSE = √MSE. bias = mean (f − y). "
      "WAPE = Σ|y − f| / Σ|y|. MASE = mean of |y − f| over the mean |y<sub>t</sub> − y<sub>t−{}</sub>| of "
      "the series "
      "before the origin; series whose scale is 0 are left out, which its n shows. pinball = mean over "
      "levels q of "
      "max(q(y − f), (q − 1)(y − f)). WQL = 2 Σ pinball / Σ|y|. WRMSSE: errors of sums of series over their "
      "step-to-step changes, weighted by sales value. Means are over all judged steps; “mean of windows” "
      "first "
      "averages each origin, then the origins, as some published tables do (WAPE there divides by at least "
      "1).</p>\n"
      "<p><b>Baselines</b> see {}; one without any observation forecasts 0. "
      "For a step that was not observed {} stands in; a season has {} steps.{}</p>\n"
      "<p><b>Chance.</b> Series are drawn with replacement, all forecasters on the same draws: what other "
      "series like "
      "these would say in the same weeks. The test of Diebold and Mariano (1995), with Bartlett's weights on "
      "lags up to "
      "the horizon and the correction of Harvey, Leybourne and Newbold (1997), takes the mean difference of "
      "losses "
      "date by date, against Student's t of one degree of freedom fewer than the dates hold horizons: what "
      "other "
      "weeks would say. From one origin it cannot be made.</p></section>\n",
      config.season,
      config.history == 0 ? "the whole history before an origin"
                          : fmt::format("{} steps before an origin", config.history),
      gap_filler(config.seasonal_gaps), config.season, baselines);
}

}  // namespace shelfcast::eval
