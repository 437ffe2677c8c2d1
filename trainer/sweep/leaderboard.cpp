#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/csv.h"
#include "base/files.h"
#include "base/log.h"
#include "trainer/sweep/table.h"

namespace shelfcast::trainer {
namespace {

using nlohmann::json;

// "train.batch=64" in two.
std::pair<std::string, std::string> split(const std::string& override_text) {
  const std::size_t equals = override_text.find('=');
  return {override_text.substr(0, equals), override_text.substr(equals + 1)};
}

// With `mark` before every `special`.
std::string marked(const std::string& text, char special, char mark) {
  std::string result;
  for (const char c : text) {
    if (c == special) result += mark;
    result += c;
  }
  return result;
}

// As many digits as tell every value from its neighbours.
std::string exact(const std::optional<double>& metric) {
  return metric && std::isfinite(*metric) ? fmt::format("{}", *metric) : "";
}

std::string to_csv(const SweepPlan& plan, const std::vector<LeaderboardRow>& rows) {
  std::string text = fmt::format("place,run,state,rungs,step,{}", csv_cell(plan.metric));
  for (const std::string& override_text : plan.runs.front().overrides)
    text += fmt::format(",{}", csv_cell(split(override_text).first));
  text += "\n";
  for (std::size_t place = 0; place < rows.size(); ++place) {
    const LeaderboardRow& row = rows[place];
    text += fmt::format("{},{},{},{},{},{}", place + 1, plan.runs[row.run].id, row.state, row.rungs, row.step,
                        exact(row.metric));
    for (const std::string& override_text : plan.runs[row.run].overrides)
      text += fmt::format(",{}", csv_cell(split(override_text).second));
    text += "\n";
  }
  return text;
}

json to_json(const SweepPlan& plan, const std::vector<LeaderboardRow>& rows) {
  json runs = json::array();
  for (const LeaderboardRow& row : rows) {
    json values;
    for (const std::string& override_text : plan.runs[row.run].overrides) {
      const auto [key, value] = split(override_text);
      values[key] = value;
    }
    runs.push_back({{"run", plan.runs[row.run].id},
                    {"folder", plan.run_folder(row.run).string()},
                    {"state", row.state},
                    {"rungs", row.rungs},
                    {"step", row.step},
                    {"metric", row.metric && std::isfinite(*row.metric) ? json(*row.metric) : json()},
                    {"values", values},
                    {"error", row.error}});
  }
  return {{"metric", plan.metric},
          {"goal", plan.goal == Goal::minimise ? "min" : "max"},
          {"rungs", plan.rungs},
          {"corpus_digest", plan.corpus_digest},
          {"runs", runs}};
}

std::string cell(const std::string& text) { return marked(text, '|', '\\'); }

std::string to_markdown(const SweepPlan& plan, const SweepState& state,
                        const std::vector<LeaderboardRow>& rows) {
  std::string text =
      fmt::format("# Sweep {}\n\n{} runs, judged by `{}` ({} is better), rungs at steps {}.\n\n",
                  plan.dir.filename().string(), rows.size(), plan.metric,
                  plan.goal == Goal::minimise ? "lower" : "higher", fmt::join(plan.rungs, ", "));
  text += fmt::format("| place | run | state | step | {} |", cell(plan.metric));
  std::string rule = "|---|---|---|---|---|";
  for (const std::string& override_text : plan.runs.front().overrides) {
    text += fmt::format(" {} |", cell(split(override_text).first));
    rule += "---|";
  }
  text += "\n" + rule + "\n";
  for (std::size_t place = 0; place < rows.size(); ++place) {
    const LeaderboardRow& row = rows[place];
    text += fmt::format("| {} | `{}` | {} | {} | {} |", place + 1, plan.runs[row.run].id, row.state, row.step,
                        row.metric ? fmt::format("{:.6g}", *row.metric) : "");
    for (const std::string& override_text : plan.runs[row.run].overrides)
      text += fmt::format(" {} |", cell(split(override_text).second));
    text += "\n";
  }
  for (const LeaderboardRow& row : rows)
    if (row.state == "failed") text += fmt::format("\n`{}` failed: {}\n", plan.runs[row.run].id, row.error);
  if (plan.last_rung() > 0) text += "\nWho went on from each rung:\n\n";
  for (std::int64_t rung = 0; rung < plan.last_rung(); ++rung) {
    std::vector<std::string> promoted;
    for (std::size_t run = 0; run < plan.runs.size(); ++run)
      if (state.runs()[run].allowed > rung) promoted.push_back(fmt::format("`{}`", plan.runs[run].id));
    text += fmt::format("- step {}: {}\n", plan.rungs[static_cast<std::size_t>(rung)],
                        promoted.empty() ? "nobody yet" : fmt::format("{}", fmt::join(promoted, ", ")));
  }
  return text;
}

}  // namespace

std::vector<LeaderboardRow> make_leaderboard(const SweepPlan& plan, const SweepState& state) {
  std::vector<LeaderboardRow> rows;
  for (const TableRow& row : make_table(plan, state)) {
    const RunRecord& record = state.runs()[row.run];
    LeaderboardRow& entry = rows.emplace_back();
    entry.run = row.run;
    const bool over = row.state == "finished" || row.state == "cut" || row.state == "failed";
    entry.state = over ? row.state : "unfinished";
    entry.rungs = record.next_rung();
    entry.step = record.steps.empty() ? 0 : record.steps.back();
    if (!record.results.empty()) entry.metric = record.results.back();
    if (row.state == "failed") entry.error = record.error;
  }
  std::stable_sort(rows.begin(), rows.end(), [&](const LeaderboardRow& a, const LeaderboardRow& b) {
    if (a.rungs != b.rungs) return a.rungs > b.rungs;
    return a.metric && b.metric && better(*a.metric, *b.metric, plan.goal);
  });
  return rows;
}

void collect(const SweepPlan& plan, const SweepState& state) {
  const std::vector<LeaderboardRow> rows = make_leaderboard(plan, state);
  write_file_atomically(plan.dir / "leaderboard.csv", to_csv(plan, rows));
  write_file_atomically(plan.dir / "leaderboard.json", to_json(plan, rows).dump(1) + "\n");
  write_file_atomically(plan.dir / "leaderboard.md", to_markdown(plan, state, rows));
  const auto open = std::count_if(rows.begin(), rows.end(),
                                  [](const LeaderboardRow& row) { return row.state == "unfinished"; });
  log::all("wrote {}{}", (plan.dir / "leaderboard.{csv,json,md}").string(),
           open > 0 ? fmt::format(" ({} runs are not finished)", open) : "");
}

}  // namespace shelfcast::trainer
