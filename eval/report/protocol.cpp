#include "eval/report/protocol.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "eval/report/main_table.h"

// SHELFCAST_PUBLISHED_ROWS is the path of published.json; the assembler copies it into the program.
__asm__(
    ".section .rodata\n"
    ".global shelfcast_published_begin\n"
    "shelfcast_published_begin:\n"
    ".incbin \"" SHELFCAST_PUBLISHED_ROWS
    "\"\n"
    ".global shelfcast_published_end\n"
    "shelfcast_published_end:\n"
    ".previous\n");

extern "C" {
extern const char shelfcast_published_begin[];
extern const char shelfcast_published_end[];
}

namespace shelfcast::eval {
namespace {

using Json = nlohmann::json;

std::string dates(const BacktestResult& result) {
  std::vector<std::string> origins;
  for (const std::int64_t origin : result.judgement.origins) origins.push_back(result.date_of(origin));
  return fmt::format("{}", fmt::join(origins, ", "));
}

// `what` ("a row") has the unknown `kind` ("key") `name`.
Error unknown(const std::string& what, const char* kind, const std::string& name,
              const std::vector<std::string>& known) {
  const std::string meant = nearest_name(name, known);
  return input_error(fmt::format("{} has the unknown {} \"{}\"", what, kind, name),
                     fmt::format("there are {}", fmt::join(known, ", ")),
                     meant.empty() ? "name one of those" : fmt::format("did you mean {}?", meant));
}

void require_keys(const Json& object, const std::string& what, const std::vector<std::string>& known) {
  for (const auto& [name, value] : object.items())
    if (std::ranges::find(known, name) == known.end()) throw unknown(what, "key", name, known);
}

void require_metric(const std::string& what, const std::string& metric,
                    const std::vector<std::string>& known) {
  if (std::ranges::find(known, metric) == known.end()) throw unknown(what, "metric", metric, known);
}

// Of the columns of the report's tables: what else is named would be shown nowhere.
std::vector<std::string> table_metrics() {
  std::vector<std::string> metrics = main_metrics();
  metrics.insert(metrics.end(), window_metrics().begin(), window_metrics().end());
  metrics.insert(metrics.end(), more_metrics().begin(), more_metrics().end());
  return metrics;
}

// The first property in which the backtest is not the published task, the number of series before all;
// empty: none. Throws Error(input) for one that it does not know.
std::string mismatch(const Json& protocol, const BacktestResult& result) {
  const std::vector<std::pair<const char*, Json>> ours{
      {"series", result.corpus.series},
      {"frequency", to_string(result.corpus.axis.frequency)},
      {"last_date", result.date_of(result.corpus.demand_end - 1)},
      {"origins", result.judgement.origins.size()},
      {"stride", result.config.stride},
      {"horizon", result.judgement.horizon},
      {"season", result.config.season},
      {"quantile_levels", result.forecasters.front().levels}};
  std::vector<std::string> known;
  for (const auto& [name, value] : ours) known.emplace_back(name);
  require_keys(protocol, "a published protocol", known);
  for (const auto& [name, value] : ours)
    if (protocol.contains(name) && protocol.at(name) != value)
      return fmt::format("{} is {}, published {}", name, value.dump(), protocol.at(name).dump());
  return {};
}

// The published value of a baseline must come out here, too: the data and the metric are the same then.
std::string anchor_mismatch(const Json& anchor, const BacktestResult& result) {
  const std::string name = anchor.at("baseline"), metric = anchor.at("metric");
  const double theirs = anchor.at("value");
  const auto found = std::ranges::find(result.forecasters, name, &ForecasterResult::name);
  if (found == result.forecasters.end())
    return fmt::format("{} was not judged, so that nothing shows that the data are the same", name);
  const Score score = found->overall.score(metric);
  if (!score.value) return fmt::format("{} has no {}", name, metric);
  if (std::abs(*score.value - theirs) <= 5e-4 * theirs) return {};
  return fmt::format("{} of {} is {:.5g}, published {:.5g}", metric, name, *score.value, theirs);
}

PublishedTask task_of(const Json& json, const BacktestResult& result) {
  PublishedTask task;
  task.name = json.at("name");
  require_keys(json, "the published task " + task.name,
               {"name", "source", "protocol", "anchor", "metrics", "rows"});
  task.source = json.at("source");
  std::vector<std::string> columns, row_keys{"model", "trained_on_task"};
  for (const Json& column : json.at("metrics")) {
    columns.push_back(column.at(0));
    task.metrics.push_back(column.at(1));
    require_metric(fmt::format("column {} of the published task {}", columns.back(), task.name),
                   task.metrics.back(), table_metrics());
  }
  row_keys.insert(row_keys.end(), columns.begin(), columns.end());
  const Json& anchor = json.at("anchor");
  require_keys(anchor, "the anchor of " + task.name, {"baseline", "metric", "value"});
  require_metric("the anchor of " + task.name, anchor.at("metric"), table_metrics());
  for (const Json& row : json.at("rows")) {
    require_keys(row, "a row of " + task.name, row_keys);
    PublishedTask::Row& published = task.rows.emplace_back();
    published.model = row.at("model");
    for (const std::string& column : columns) {
      const Json value = row.value(column, Json());
      if (!value.is_null() && !value.is_number())
        throw input_error(fmt::format("{} of {} in {} is {}, which is no number", column, published.model,
                                      task.name, value.dump()),
                          "", "write a number, or null where there is none");
      published.values.push_back(value.is_null() ? std::nullopt : std::optional(value.get<double>()));
    }
  }
  task.mismatch = mismatch(json.at("protocol"), result);
  if (task.mismatch.empty()) task.mismatch = anchor_mismatch(anchor, result);
  return task;
}

}  // namespace

std::vector<std::string> protocol_differences(const BacktestResult& a, const BacktestResult& b) {
  std::vector<std::string> differences;
  const auto look = [&](const char* name, const auto& ours, const auto& theirs) {
    if (ours != theirs) differences.push_back(fmt::format("{}: {} against {}", name, ours, theirs));
  };
  look("corpus", a.corpus.name, b.corpus.name);
  look("state of the corpus", a.corpus_digest, b.corpus_digest);
  look("column forecast", a.corpus.target, b.corpus.target);
  look("origins", dates(a), dates(b));
  look("horizon", a.judgement.horizon, b.judgement.horizon);
  look("history", a.config.history, b.config.history);
  look("origins between refits", a.config.refit_every, b.config.refit_every);
  look("season", a.config.season, b.config.season);
  if (!a.config.classes.empty() && !b.config.classes.empty()) {
    const auto thresholds = [](const BacktestResult& r) {
      return fmt::format("{} of the past up to {}", fmt::join(r.config.classes, " and "),
                         r.date_of(r.judgement.cut_off() - 1));
    };
    look("thresholds of low and high demand", thresholds(a), thresholds(b));
  }
  look("targets judged", a.judgement.targets, b.judgement.targets);
  if (!a.config.hierarchy.empty() && !b.config.hierarchy.empty()) {
    const auto sums = [](const BacktestConfig& config) {
      return fmt::format("{}, weighted by {}", fmt::join(config.hierarchy, " "),
                         config.price.empty() ? "units" : config.price);
    };
    look("sums of WRMSSE", sums(a.config), sums(b.config));
  }
  const auto where_both_have = [&](const char* name, const std::string& ours, const std::string& theirs) {
    if (!ours.empty() && !theirs.empty()) look(name, ours, theirs);
  };
  where_both_have("promotion", a.config.promotion, b.config.promotion);
  where_both_have("price", a.config.price, b.config.price);
  // Order costs and fill rates stand in one column, and so do what the bootstrap calls wins.
  const auto orders = [](const OrderConfig& config) {
    return config.review == 0
               ? ""
               : fmt::format("every {}, after {}, service {}", config.review, config.lead, config.service);
  };
  where_both_have("orders", orders(a.config.orders), orders(b.config.orders));
  look("resamples of the bootstrap", a.config.bootstrap, b.config.bootstrap);
  // A baseline has one row for all runs, so that it must have been made alike.
  for (std::size_t i = a.models; i < a.forecasters.size(); ++i) {
    const ForecasterResult& ours = a.forecasters[i];
    const auto theirs =
        std::find_if(b.forecasters.begin() + static_cast<std::ptrdiff_t>(b.models), b.forecasters.end(),
                     [&](const ForecasterResult& forecaster) { return forecaster.name == ours.name; });
    if (combines_models(ours.name) || theirs == b.forecasters.end()) continue;
    const auto x = ours.overall.score("mae").value, y = theirs->overall.score("mae").value;
    if (x && y && std::abs(*x - *y) > 1e-6 * std::abs(*x))
      differences.push_back(
          fmt::format("MAE of {}: {:.6g} against {:.6g} (another backtest.seasonal_gaps, "
                      "window, learned_rows or learned_rounds?)",
                      ours.name, *x, *y));
  }
  return differences;
}

std::vector<PublishedTask> published_tasks(const std::string& json, const std::string& file,
                                           const BacktestResult& result) {
  std::vector<PublishedTask> tasks;
  try {
    const Json all = Json::parse(json);
    require_keys(all, file, {"tasks"});
    for (const Json& task : all.at("tasks")) tasks.push_back(task_of(task, result));
  } catch (const Json::exception& error) {
    throw data_error(fmt::format("{} holds no published rows", file), error.what(),
                     "see docs/evaluation.md for the format");
  }
  return tasks;
}

std::string shipped_published_rows() { return {shelfcast_published_begin, shelfcast_published_end}; }

}  // namespace shelfcast::eval
