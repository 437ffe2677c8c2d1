// The report for papers and programs: Markdown, LaTeX, CSV, JSON.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>

#include "base/csv.h"
#include "eval/report/facts.h"
#include "eval/report/main_table.h"
#include "eval/report/report.h"
#include "eval/report/resources.h"
#include "eval/report/sections.h"
#include "eval/report/text.h"
#include "eval/report/verdict.h"

namespace shelfcast::eval {
namespace {

const char* kind_of(MainTable::Row::Kind kind) {
  switch (kind) {
    case MainTable::Row::Kind::model:
      return "model";
    case MainTable::Row::Kind::baseline:
      return "baseline";
    case MainTable::Row::Kind::published:
      break;
  }
  return "published";
}

std::string escape_markdown(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    if (c == '|' || c == '*' || c == '_' || c == '<' || c == '`' || c == '\\') safe += '\\';
    safe += c == '\n' || c == '\r' ? ' ' : c;  // a row of a table is a line
  }
  return safe;
}

std::string escape_latex(const std::string& text) {
  static const std::map<char, std::string> replacements{{'&', "\\&"},
                                                        {'%', "\\%"},
                                                        {'$', "\\$"},
                                                        {'#', "\\#"},
                                                        {'_', "\\_"},
                                                        {'{', "\\{"},
                                                        {'}', "\\}"},
                                                        {'~', "\\textasciitilde{}"},
                                                        {'^', "\\textasciicircum{}"},
                                                        {'\\', "\\textbackslash{}"}};
  std::string safe;
  for (const char c : text) {
    const auto found = replacements.find(c);
    safe += found == replacements.end() ? std::string(1, c) : found->second;
  }
  return safe;
}

const char* mark_of(std::optional<Verdict> verdict, const char* better, const char* worse) {
  return verdict == Verdict::better ? better : verdict == Verdict::worse ? worse : "";
}

std::string markdown_table(const MainTable& table) {
  std::string head = "| forecaster | n |", rule = "|---|--:|", body;
  for (const std::string& metric : table.metrics) {
    head += fmt::format(" {} |", title_of(metric));
    rule += "--:|";
  }
  for (const MainTable::Row& row : table.rows) {
    body += fmt::format("| {}{} | {} |", escape_markdown(row.name),
                        row.kind == MainTable::Row::Kind::published ? " (published)" : "",
                        row.n > 0 ? format_count(static_cast<double>(row.n)) : "");
    for (std::size_t c = 0; c < table.metrics.size(); ++c) {
      const MainTable::Cell& cell = row.cells[c];
      if (!cell.value) {
        body += " |";
        continue;
      }
      const std::string text = format_score(table.metrics[c], *cell.value);
      body += fmt::format(" {}{} |", cell.best ? fmt::format("**{}**", text) : text,
                          mark_of(cell.verdict, "\\*", "†"));
    }
    body += '\n';
  }
  return head + '\n' + rule + '\n' + body;
}

// Paragraphs below the main table.
std::string markdown_notes(const BacktestResult& result) {
  std::string text;
  for (const std::string& note : table_notes(result)) text += escape_markdown(note) + "\n\n";
  return text;
}

// A row a level, a column a forecaster.
std::string levels_table(const BacktestResult& result, const std::string& group,
                         const std::vector<std::string>& levels, const std::string& metric) {
  std::string text = fmt::format("| {} | n |", group), rule = "|---|--:|";
  for (const ForecasterResult& forecaster : result.forecasters) {
    text += fmt::format(" {} |", escape_markdown(forecaster.name));
    rule += "--:|";
  }
  text += '\n' + rule + '\n';
  for (const std::string& level : levels) {
    const GroupScores* first = find_group(result.forecasters.front(), group, level);
    text += fmt::format("| {} | {} |", escape_markdown(level),
                        format_count(static_cast<double>(first->score(metric).n)));
    for (const ForecasterResult& forecaster : result.forecasters) {
      const GroupScores* scores = find_group(forecaster, group, level);
      // Whose backtest has no such group was judged on it all the same: nothing is said of how.
      const Score score = scores != nullptr ? scores->score(metric) : Score{metric, {}, 1};
      text += score.value ? fmt::format(" {} |", format_score(metric, *score.value))
                          : (score.n == 0 ? " n = 0 |" : " – |");
    }
    text += '\n';
  }
  return text;
}

// The levels of a group in their own order.
std::vector<std::string> levels_of(const BacktestResult& result, const std::string& group) {
  std::vector<std::string> levels;
  for (const GroupScores& scores : result.forecasters.front().groups)
    if (scores.group == group) levels.push_back(scores.level);
  return levels;
}

// A row a forecaster, with these metrics over everything under these titles; nothing where nobody was judged
// by them.
std::string overall_table(const BacktestResult& result, const std::string& heading,
                          const std::vector<std::pair<std::string, std::string>>& metrics) {
  std::string head = "| forecaster | n |", rule = "|---|--:|", body;
  for (const auto& [metric, title] : metrics) {
    head += fmt::format(" {} |", title);
    rule += "--:|";
  }
  bool any = false;
  for (const ForecasterResult& forecaster : result.forecasters) {
    body += fmt::format("| {} | {} |", escape_markdown(forecaster.name),
                        format_count(static_cast<double>(forecaster.overall.score(metrics.front().first).n)));
    for (const auto& [metric, title] : metrics) {
      const Score score = forecaster.overall.score(metric);
      any = any || score.value.has_value();
      body += score.value ? fmt::format(" {} |", format_score(metric, *score.value)) : " n = 0 |";
    }
    body += '\n';
  }
  return any ? fmt::format("\n## {}\n\n{}\n{}\n{}", heading, head, rule, body) : "";
}

std::string resources_markdown(const ReportData& data) {
  const ResourceTable table = resource_table(data);
  std::string rule = "|---|", text = "|";
  for (const std::string& title : table.header) text += fmt::format(" {} |", title);
  for (std::size_t c = 1; c < table.header.size(); ++c) rule += "--:|";
  text += '\n' + rule + '\n';
  for (const std::vector<std::string>& row : table.rows) {
    text += '|';
    for (const std::string& cell : row) text += fmt::format(" {} |", escape_markdown(cell));
    text += '\n';
  }
  return text;
}

}  // namespace

std::string report_markdown(const ReportData& data) {
  const Summary summary = summarise(data);
  const BacktestResult& result = data.result;
  std::string text =
      fmt::format("# {}\n\n**{}**\n\n", escape_markdown(data.title), escape_markdown(summary.headline));
  for (const std::string& sentence : summary.sentences)
    text += fmt::format("- {}\n", escape_markdown(sentence));
  text += fmt::format(
      "\n{}\nBold: best of its column. \\*: significantly better than the baseline strongest in that metric, "
      "†: "
      "significantly worse (MAE, MSE, WRMSSE and WQL, where point forecasts stand for each quantile); models "
      "whose own backtest lacks that baseline have no mark.\n\n{}Means of windows, as some published tables "
      "average:\n\n{}",
      markdown_table(main_table(data, main_metrics())), markdown_notes(result),
      markdown_table(main_table(data, window_metrics())));
  for (const PublishedTask& task : data.published)
    text += fmt::format("\nPublished rows of {}: {}.\n", task.name,
                        task.mismatch.empty() ? task.source : fmt::format("left out, {}", task.mismatch));
  constexpr std::size_t kLevels = 30;
  for (const std::string& group : group_names(result))
    text += fmt::format("\n## MAE by {}\n\n{}", group,
                        levels_table(result, group, largest_levels(result, group, kLevels), "mae"));
  if (const std::vector<std::string> sums = levels_of(result, "hierarchy"); !sums.empty())
    text += fmt::format("\n## WRMSSE by level\n\n{}", levels_table(result, "hierarchy", sums, "wrmsse"));
  text += overall_table(
      result, "What orders would have cost",
      {{"order_cost", "cost"}, {"fill_rate", "fill rate"}, {"stock_cover", "steps of demand in stock"}});
  text +=
      overall_table(result, "Low, normal and high demand",
                    {{"accuracy", "accuracy"}, {"f1_macro", "F1, macro"}, {"f1_weighted", "F1, weighted"}});
  const auto list = [&text](const char* heading, const Facts& facts) {
    text += fmt::format("\n## {}\n\n", heading);
    for (const auto& [name, value] : facts) text += fmt::format("- {}: {}\n", name, value);
  };
  list("Protocol", protocol_facts(result));
  list("Data", data_facts(result));
  text += "\n## Resources\n\n" + resources_markdown(data);
  for (const ReportRun& run : data.runs) list(("Run " + run.name).c_str(), run.metadata.facts);
  text += "\n## Commands\n";
  for (const ReportRun& run : data.runs)
    text += fmt::format("\n    {}\n", fmt::join(run.metadata.commands, "\n    "));
  if (data.runs.size() > 1) text += fmt::format("\n    {}\n", report_command(data));
  return text;
}

std::string report_latex(const ReportData& data) {
  const MainTable table = main_table(data, main_metrics());
  const bool over_dates =
      std::ranges::any_of(data.result.comparisons, [](const Comparison& c) { return c.dates.has_value(); });
  std::string text = fmt::format(
      "% Needs booktabs. Bold: best; *: significantly better than the strongest baseline, dagger: worse "
      "({}).\n"
      "\\begin{{tabular}}{{l{}}}\n\\toprule\nForecaster",
      over_dates ? "paired bootstrap and Diebold-Mariano"
                 : "paired bootstrap over series; too few dates to test other weeks",
      std::string(table.metrics.size(), 'r'));
  for (const std::string& metric : table.metrics) text += fmt::format(" & {}", title_of(metric));
  text += " \\\\\n\\midrule\n";
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    const MainTable::Row& row = table.rows[r];
    if (r > 0 && row.kind != table.rows[r - 1].kind) text += "\\midrule\n";
    text += escape_latex(row.name);
    for (std::size_t c = 0; c < table.metrics.size(); ++c) {
      const MainTable::Cell& cell = row.cells[c];
      text += " & ";
      if (!cell.value) continue;
      const std::string value = escape_latex(format_score(table.metrics[c], *cell.value));
      text += (cell.best ? fmt::format("\\textbf{{{}}}", value) : value) +
              mark_of(cell.verdict, "$^{*}$", "$^{\\dagger}$");
    }
    text += " \\\\\n";
  }
  text += "\\bottomrule\n\\end{tabular}\n";
  for (const std::string& note : table_notes(data.result)) text += fmt::format("% {}\n", note);
  return text;
}

std::string report_csv(const ReportData& data) {
  std::string csv = "forecaster,kind,metric,value,n,best,verdict\n";
  for (const std::vector<std::string>& metrics : {main_metrics(), window_metrics()}) {
    const MainTable table = main_table(data, metrics);
    for (const MainTable::Row& row : table.rows)
      for (std::size_t c = 0; c < table.metrics.size(); ++c)
        csv += fmt::format("{},{},{},{},{},{},{}\n", csv_cell(row.name), kind_of(row.kind), table.metrics[c],
                           row.cells[c].value ? fmt::format("{}", *row.cells[c].value) : "", row.n,
                           row.cells[c].best ? 1 : 0,
                           row.cells[c].verdict ? to_string(*row.cells[c].verdict) : "");
  }
  return csv;
}

nlohmann::ordered_json report_json(const ReportData& data) {
  using Json = nlohmann::ordered_json;
  const Summary summary = summarise(data);
  Json runs = Json::array(), rows = Json::array(), between = Json::array(), published = Json::array();
  for (const ReportRun& run : data.runs) {
    Json one = run_json(run.metadata);
    one["name"] = run.name;
    one["folder"] = run.folder.string();
    one["trainings"] = Json::array();
    for (const TrainingRecord& training : run.trainings)
      one["trainings"].push_back({{"name", training_name(run, training)},
                                  {"steps", training.steps},
                                  {"seconds", training.seconds},
                                  {"device_seconds", training.device_seconds},
                                  {"on_gpus", training.on_gpus},
                                  {"windows_per_second", training.windows_per_second},
                                  {"peak_memory_bytes", training.peak_memory_bytes}});
    runs.push_back(one);
  }
  const MainTable table = main_table(data, main_metrics());
  for (const MainTable::Row& row : table.rows) {
    Json one = {{"name", row.name}, {"kind", kind_of(row.kind)}, {"n", row.n}, {"metrics", Json::object()}};
    for (std::size_t c = 0; c < table.metrics.size(); ++c)
      one["metrics"][table.metrics[c]] = row.cells[c].value ? Json(*row.cells[c].value) : Json();
    rows.push_back(one);
  }
  for (const Comparison& c : data.between) between.push_back(comparison_json(c));
  for (const PublishedTask& task : data.published)
    published.push_back({{"task", task.name}, {"source", task.source}, {"mismatch", task.mismatch}});
  return {{"title", data.title},
          {"verdict", to_string(summary.verdict)},
          {"headline", summary.headline},
          {"sentences", summary.sentences},
          {"runs", runs},
          {"table", rows},
          {"between_runs", between},
          {"published", published},
          {"result", result_json(data.result)}};
}

}  // namespace shelfcast::eval
