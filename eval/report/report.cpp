#include "eval/report/report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "eval/report/plots.h"
#include "eval/report/sections.h"
#include "eval/report/style.h"
#include "eval/report/svg.h"

namespace shelfcast::eval {
namespace {

std::string fact(const std::string& name, const std::string& value) {
  return fmt::format("<dt>{}</dt><dd>{}</dd>\n", escape_html(name), escape_html(value));
}

std::string share_of(double part, double whole) {
  return whole > 0 ? fmt::format("{} ({})", format_count(part), format_percent(part / whole)) : "n = 0";
}

const char* steps_name(Frequency frequency) {
  switch (frequency) {
    case Frequency::daily:
      return "days";
    case Frequency::weekly:
      return "weeks";
    case Frequency::monthly:
      break;
  }
  return "months";
}

std::string protocol_card(const BacktestResult& result) {
  const Judgement& judged = result.judgement;
  std::vector<std::string> origins;
  for (const std::int64_t origin : judged.origins) origins.push_back(result.date_of(origin));
  const char* steps = steps_name(result.corpus.axis.frequency);
  std::string card = "<dl>\n";
  card += fact("Origins", fmt::format("{} (the first day of each horizon), {} {} apart",
                                      fmt::join(origins, ", "), result.config.stride, steps));
  card += fact("Horizon", fmt::format("{} {}", judged.horizon, steps));
  card += fact("Model looks back", fmt::format("{} {}", judged.context, steps));
  card += fact("First date unseen", result.date_of(judged.validate_end) + ": no origin lies before it");
  card += fact("Windows",
               fmt::format("{} (series × origins)", format_count(static_cast<double>(judged.windows))));
  card += fact("Targets judged", format_count(judged.targets));
  card += fact("of them zero", share_of(judged.zero_targets, judged.targets));
  card += fact("Not observed, left out",
               share_of(judged.missing_targets, judged.targets + judged.missing_targets));
  card += fact("Season", fmt::format("{} {} (of seasonal baselines and the scale of MASE)",
                                     result.config.season, steps));
  return card + "</dl>\n";
}

std::string data_card(const BacktestResult& result) {
  const data::CorpusInfo& info = result.corpus;
  const Coverage& history = result.judgement.history;
  std::vector<std::string> covariates, statics;
  for (const data::CovariateInfo& c : info.covariates)
    covariates.push_back(
        fmt::format("{} ({})", c.name, c.role == data::Role::known ? "known ahead" : "known afterwards"));
  for (const data::StaticInfo& s : info.statics)
    statics.push_back(s.kind == data::Kind::categorical ? fmt::format("{} ({})", s.name, s.vocabulary.size())
                                                        : s.name);
  std::string card = "<dl>\n";
  card += fact("Corpus", info.name);
  card += fact("State", result.corpus_digest);
  card += fact("Series", format_count(static_cast<double>(info.series)));
  card += fact("Span", fmt::format("{} to {}, {} {}", result.date_of(0), result.date_of(info.demand_end - 1),
                                   info.demand_end, steps_name(info.axis.frequency)));
  card += fact("Zero demand", share_of(history.zeros, history.cells));
  card += fact("Not observed", share_of(history.missing, history.cells));
  card += fact("Covariates", covariates.empty() ? "none" : fmt::format("{}", fmt::join(covariates, ", ")));
  card += fact("Facts per series", statics.empty() ? "none" : fmt::format("{}", fmt::join(statics, ", ")));
  if (!info.notes.empty()) card += fact("Notes", info.notes);
  return card + "</dl>\n";
}

std::string cards(const BacktestResult& result) {
  return "<section id=\"protocol\"><h2>Protocol and data</h2><div class=\"halves\"><div><h3>How it was "
         "judged</h3>\n" +
         protocol_card(result) + "</div><div><h3>What it was judged on</h3>\n" + data_card(result) +
         "</div></div></section>\n";
}

std::string fans(const BacktestResult& result) {
  if (result.fans.empty()) return {};
  std::string html = fmt::format(
      "<section id=\"fans\"><h2>Forecasts against the truth</h2>\n<p class=\"lead\">Series from the last "
      "origin, {}: large "
      "sellers, typical errors, large errors and draws at random, in turn; not a flattering pick.</p>\n"
      "<div class=\"legend\"><span><i class=\"key history\"></i>history</span><span><i class=\"key "
      "truth\"></i>truth</span>"
      "<span><i class=\"swatch f0\"></i>{} (median)</span>",
      result.date_of(result.fans.front().origin), escape_html(result.forecasters.front().name));
  if (!result.forecasters.front().levels.empty())
    html += fmt::format(
        "<span><i class=\"key band\"></i>quantiles {:g} to {:g}, stronger towards the middle</span>",
        result.forecasters.front().levels.front(), result.forecasters.front().levels.back());
  if (result.models > 0 && result.models < result.forecasters.size())
    html += fmt::format("<span><i class=\"swatch {}\"></i>{}</span>", forecaster_style(result, result.models),
                        escape_html(result.forecasters[result.models].name));
  html += "</div>\n<div class=\"fans\">\n";
  for (const Fan& fan : result.fans)
    html += fmt::format("<figure><figcaption><h3>{}</h3><span>{}</span></figcaption>{}</figure>\n",
                        escape_html(fan.series), escape_html(fan.why), fan_plot(result, fan));
  return html + "</div></section>\n";
}

std::string footer(const ReportMetadata& metadata) {
  std::string html = "<footer><dl>\n";
  for (const auto& [name, value] : metadata.facts) html += fact(name, value);
  return html +
         "</dl><p>The same numbers, all levels and all metrics: <code>metrics.csv</code>, "
         "<code>result.json</code> and, per "
         "series, <code>series.csv</code> beside this page.</p></footer>\n";
}

}  // namespace

std::string report_html(const BacktestResult& result, const ReportMetadata& metadata) {
  std::string html =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<link rel=\"icon\" href=\"data:,\">\n";  // keeps browsers from asking a server for one
  html += fmt::format("<title>Backtest: {}</title>\n<style>{}</style>\n</head>\n<body>\n",
                      escape_html(metadata.title), kReportStyle);
  html += fmt::format("<header class=\"top\"><p class=\"kicker\">Shelfcast backtest</p><h1>{}</h1>\n",
                      escape_html(metadata.title));
  html += verdict_section(result) + tiles_section(result) + "</header>\n<main>\n";
  html += main_table_section(result) + comparison_section(result) + horizon_section(result) +
          groups_section(result);
  html += fans(result) + calibration_section(result) + cards(result) + notes_section(result);
  return html + "</main>\n" + footer(metadata) + "</body>\n</html>\n";
}

}  // namespace shelfcast::eval
