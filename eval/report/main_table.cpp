#include "eval/report/main_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "eval/combination.h"
#include "eval/report/facts.h"
#include "eval/report/text.h"

namespace shelfcast::eval {
namespace {

MainTable::Row row_of(const ReportData& data, std::size_t index, const std::vector<std::string>& metrics) {
  const BacktestResult& result = data.result;
  const ForecasterResult& forecaster = result.forecasters[index];
  MainTable::Row row;
  row.name = forecaster.name;
  row.kind = index < result.models ? MainTable::Row::Kind::model : MainTable::Row::Kind::baseline;
  row.forecaster = index;
  row.n = forecaster.overall.score("mae").n;
  for (const std::string& metric : metrics) {
    MainTable::Cell& cell = row.cells.emplace_back();
    if (of_quantiles(metric) && forecaster.levels.empty()) continue;
    cell.value = forecaster.overall.score(metric).value;
    if (row.kind != MainTable::Row::Kind::model) continue;
    if (const Comparison* c = compared_with_strongest(result, forecaster.name, metric))
      cell.verdict = c->verdict;
  }
  return row;
}

void add_published(const ReportData& data, MainTable& table) {
  for (const PublishedTask& task : data.published) {
    if (!task.mismatch.empty()) continue;
    for (const PublishedTask::Row& published : task.rows) {
      MainTable::Row row;
      row.name = published.model;
      row.kind = MainTable::Row::Kind::published;
      bool any = false;
      for (const std::string& metric : table.metrics) {
        const auto at = std::ranges::find(task.metrics, metric) - task.metrics.begin();
        MainTable::Cell& cell = row.cells.emplace_back();
        if (at < std::ssize(task.metrics)) cell.value = published.values[static_cast<std::size_t>(at)];
        any = any || cell.value;
      }
      if (any) table.rows.push_back(std::move(row));
    }
  }
}

void mark_best(MainTable& table, bool same_levels) {
  for (std::size_t c = 0; c < table.metrics.size(); ++c) {
    if (of_quantiles(table.metrics[c]) && !same_levels) continue;
    double best = HUGE_VAL;
    for (const MainTable::Row& row : table.rows)
      if (row.cells[c].value) best = std::min(best, std::abs(*row.cells[c].value));
    for (MainTable::Row& row : table.rows)
      row.cells[c].best = row.cells[c].value && std::abs(*row.cells[c].value) == best;
  }
}

void drop_empty_columns(MainTable& table) {
  for (std::size_t c = table.metrics.size(); c-- > 0;) {
    const auto has = [c](const MainTable::Row& row) { return row.cells[c].value.has_value(); };
    if (std::ranges::any_of(table.rows, has)) continue;
    table.metrics.erase(table.metrics.begin() + static_cast<std::ptrdiff_t>(c));
    for (MainTable::Row& row : table.rows)
      row.cells.erase(row.cells.begin() + static_cast<std::ptrdiff_t>(c));
  }
}

// "... a simpler one stood in under its name: Holt-Winters in 12 of 300 windows (4.0 %)."; empty where none
// did.
std::string stand_ins(const BacktestResult& result) {
  std::vector<std::string> said;
  const auto windows = static_cast<double>(result.judgement.windows);
  for (const ForecasterResult& forecaster : result.forecasters)
    if (const auto simpler = static_cast<double>(forecaster.simpler_windows); simpler > 0)
      said.push_back(fmt::format("{} in {} of {} windows ({})", forecaster.name, format_count(simpler),
                                 format_count(windows), format_percent(simpler / windows)));
  if (said.empty()) return {};
  return fmt::format(
      "Where a history was too short for a method (or not positive, for a multiplicative one), a simpler one "
      "stood in under its name: {}.",
      fmt::join(said, "; "));
}

}  // namespace

std::vector<std::string> table_notes(const BacktestResult& result) {
  std::vector<std::string> notes;
  if (std::string note = stand_ins(result); !note.empty()) notes.push_back(std::move(note));
  if (levels_differ(result))
    notes.push_back(fmt::format(
        "Losses over quantiles (pinball, WQL, SQL, CRPS) have no best: their levels differ, so that they are "
        "not one measure ({}). Marks compare each model with point forecasts at its own levels.",
        quantile_levels(result)));
  return notes;
}

const std::vector<std::string>& main_metrics() {
  static const std::vector<std::string> metrics{"mae",  "mse",   "rmse",   "bias",    "wape",
                                                "mase", "rmsse", "wrmsse", "pinball", "wql"};
  return metrics;
}

const std::vector<std::string>& window_metrics() {
  static const std::vector<std::string> metrics{"mase_window_mean", "wape_window_mean", "wql_window_mean",
                                                "sql_window_mean"};
  return metrics;
}

const std::vector<std::string>& more_metrics() {
  static const std::vector<std::string> metrics{"smape", "sql", "crps"};
  return metrics;
}

MainTable main_table(const ReportData& data, const std::vector<std::string>& metrics) {
  MainTable table;
  table.metrics = metrics;
  for (std::size_t i = 0; i < data.result.forecasters.size(); ++i)
    table.rows.push_back(row_of(data, i, metrics));
  drop_empty_columns(table);
  add_published(data, table);
  mark_best(table, !levels_differ(data.result));
  return table;
}

bool of_quantiles(const std::string& metric) {
  return metric == "pinball" || metric.starts_with("wql") || metric.starts_with("sql") || metric == "crps";
}

bool combines_models(const std::string& forecaster) {
  return std::ranges::any_of(combination_methods(), [&forecaster](const CombinationMethod& method) {
    return forecaster.starts_with(method.label + kWithModels);
  });
}

const ForecasterResult* strongest_baseline(const BacktestResult& result, const std::string& metric) {
  const ForecasterResult* strongest = nullptr;
  for (std::size_t i = result.models; i < result.forecasters.size(); ++i) {
    const Score score = result.forecasters[i].overall.score(metric);
    if (!score.value || combines_models(result.forecasters[i].name)) continue;
    if (strongest == nullptr || *score.value < *strongest->overall.score(metric).value)
      strongest = &result.forecasters[i];
  }
  return strongest;
}

const Comparison* compared_with_strongest(const BacktestResult& result, const std::string& model,
                                          const std::string& metric) {
  // Point forecasts have no score of quantiles that would tell whether those not met are stronger.
  const bool met_all = not_met(result, model).empty();
  const ForecasterResult* known =
      met_all || of_quantiles(metric) ? nullptr : strongest_baseline(result, metric);
  const Comparison* strongest = nullptr;
  for (const Comparison& c : result.comparisons) {
    if (c.model != model || c.metric != metric || !c.difference || combines_models(c.baseline)) continue;
    if (!met_all && (known == nullptr || c.baseline != known->name)) continue;
    if (strongest == nullptr || *c.difference > *strongest->difference) strongest = &c;
  }
  return strongest;
}

std::vector<std::string> not_met(const BacktestResult& result, const std::string& model) {
  std::vector<std::string> names;
  for (std::size_t i = result.models; i < result.forecasters.size(); ++i) {
    const std::string& name = result.forecasters[i].name;
    const auto is_it = [&](const Comparison& c) { return c.model == model && c.baseline == name; };
    if (!combines_models(name) && std::ranges::none_of(result.comparisons, is_it)) names.push_back(name);
  }
  return names;
}

}  // namespace shelfcast::eval
