#include "trainer/sweep/table.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/progress.h"
#include "trainer/sweep/run_progress.h"

namespace shelfcast::trainer {
namespace {

// Nothing logged for so long: the run may be lost.
constexpr double kSilentSeconds = 600;

std::string number(const std::optional<double>& value) {
  return !value ? "-" : std::isfinite(*value) ? fmt::format("{:.6g}", *value) : "not finite";
}

void look_at_folder(const SweepPlan& plan, TableRow& row) {
  const auto live = live_progress(plan.run_folder(row.run), plan.metric);
  if (!live) return;
  row.step = std::max(row.step, live->step);
  if (live->metric) row.metric = live->metric;
  row.seconds_left = live->seconds_per_step * static_cast<double>(std::max<std::int64_t>(
                                                  0, plan.target(row.run, row.rung) - row.step));
  if (live->silent_seconds > kSilentSeconds) {
    row.state = "silent";
    row.note = fmt::format("wrote nothing for {}", format_duration(live->silent_seconds));
  }
}

TableRow make_row(const SweepPlan& plan, const SweepState& state, std::size_t run) {
  const RunRecord& record = state.runs()[run];
  TableRow row{.run = run,
               .state = "",
               .rung = std::min(record.next_rung(), plan.last_rung()),
               .step = record.steps.empty() ? 0 : record.steps.back(),
               .steps = plan.runs[run].steps,
               .metric = {},
               .host = record.host,
               .job = record.job,
               .note = record.error};
  if (!record.results.empty()) row.metric = record.results.back();
  if (record.next_rung() > plan.last_rung()) {
    row.state = "finished";
  } else if (!state.unfinished(run)) {
    const bool judged = std::any_of(state.runs().begin(), state.runs().end(), [&](const RunRecord& other) {
      return other.allowed >= record.next_rung();
    });
    row.state = judged ? "cut" : "judged later";
  } else if (record.state == RunRecord::State::running) {
    row.state = "running";
    look_at_folder(plan, row);
  } else {
    row.state = record.state == RunRecord::State::failed    ? "failed"
                : record.state == RunRecord::State::stopped ? "stopped"
                : record.state == RunRecord::State::left    ? "left"
                                                            : "waiting";
  }
  return row;
}

std::string values_of(const SweepPlan& plan, std::size_t run) {
  std::vector<std::string> values;
  for (const std::string& text : plan.runs[run].overrides) values.push_back(text);
  return fmt::format("{}", fmt::join(values, " "));
}

std::string summary(const SweepPlan& plan, const std::vector<TableRow>& rows) {
  std::map<std::string, std::int64_t> counts;
  const TableRow* best = nullptr;
  for (const TableRow& row : rows) {
    ++counts[row.state];
    if (row.metric && (best == nullptr || row.rung > best->rung ||
                       (row.rung == best->rung && better(*row.metric, *best->metric, plan.goal))))
      best = &row;
  }
  std::vector<std::string> parts;
  for (const auto& [state, count] : counts) parts.push_back(fmt::format("{} {}", count, state));
  std::string text = fmt::format("{}: {} runs: {}\n", plan.dir.string(), rows.size(), fmt::join(parts, ", "));
  if (best != nullptr)
    text += fmt::format("best: {} with {} {} at step {} ({})\n", plan.runs[best->run].id, plan.metric,
                        number(best->metric), best->step, values_of(plan, best->run));
  return text;
}

}  // namespace

std::vector<TableRow> make_table(const SweepPlan& plan, const SweepState& state) {
  std::vector<TableRow> rows;
  for (std::size_t run = 0; run < plan.runs.size(); ++run) rows.push_back(make_row(plan, state, run));
  return rows;
}

std::string summarize(const SweepPlan& plan, const SweepState& state) {
  std::string text = summary(plan, make_table(plan, state));
  text.pop_back();
  return text;
}

std::string describe_status(const SweepPlan& plan, const SweepState& state) {
  const std::vector<TableRow> rows = make_table(plan, state);
  std::string text = summary(plan, rows);
  text += fmt::format("\n{:12}  {:12} {:>4} {:>15} {:>12}  {:>11}  {:12} {:10} {}\n", "run", "state", "rung",
                      "step", plan.metric.substr(0, 12), "time left", "host", "job", "values");
  for (const TableRow& row : rows)
    text += fmt::format("{:12}  {:12} {:>4} {:>15} {:>12}  {:>11}  {:12} {:10} {}{}\n", plan.runs[row.run].id,
                        row.state, row.rung, fmt::format("{}/{}", row.step, row.steps), number(row.metric),
                        row.seconds_left > 0 ? format_duration(row.seconds_left) : "-",
                        row.host.empty() ? "-" : row.host, row.job.empty() ? "-" : row.job,
                        values_of(plan, row.run), row.note.empty() ? "" : "  [" + row.note + "]");
  return text;
}

std::string describe_plan(const SweepPlan& plan) {
  std::int64_t full = 0, planned = 0;
  auto left = static_cast<std::int64_t>(plan.runs.size());
  for (std::size_t run = 0; run < plan.runs.size(); ++run) full += plan.runs[run].steps;
  std::int64_t before = 0;
  std::string text = fmt::format("{} runs in {}\n", plan.runs.size(), plan.dir.string());
  if (plan.last_rung() > 0) {
    for (const std::int64_t step : plan.rungs) {
      text += fmt::format("to step {:>8}: {:>5} runs\n", step, left);
      planned += left * (step - before);
      before = step;
      left = std::max<std::int64_t>(1, left / plan.halving.keep);
    }
    text += fmt::format("{} steps instead of {} without halving\n", planned, full);
  } else {
    text += fmt::format("{} steps in all\n", full);
  }
  text += fmt::format("judged by {} ({})\n\n", plan.metric,
                      plan.goal == Goal::minimise ? "lower is better" : "higher is better");
  for (std::size_t run = 0; run < plan.runs.size(); ++run)
    text += fmt::format("{}  {}\n", plan.runs[run].id, values_of(plan, run));
  return text;
}

}  // namespace shelfcast::trainer
