#include "eval/result.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/csv.h"
#include "base/error.h"
#include "base/files.h"

namespace shelfcast::eval {
namespace {

using Json = nlohmann::ordered_json;

// Counts are kept in double, exact far beyond any corpus.
std::int64_t whole(double count) { return static_cast<std::int64_t>(count); }

Json to_json(const std::optional<double>& value) { return value ? Json(*value) : Json(); }

Json scores_json(const std::vector<Score>& scores) {
  Json json = Json::object();
  for (const Score& score : scores) json[score.metric] = {{"value", to_json(score.value)}, {"n", score.n}};
  return json;
}

Json forecaster_json(const ForecasterResult& forecaster) {
  Json by = Json::object();
  for (const GroupScores& group : forecaster.groups) by[group.group][group.level] = scores_json(group.scores);
  return {{"name", forecaster.name},
          {"quantile_levels", forecaster.levels},
          {"classes_from", forecaster.says_classes ? "head" : "median"},
          {"windows_of_simpler_method", forecaster.simpler_windows},
          {"overall", scores_json(forecaster.overall.scores)},
          {"by", by}};
}

Json dates_json(const std::optional<DieboldMariano>& test) {
  if (!test) return {};
  return {{"statistic", test->statistic}, {"p", test->p}, {"dates", test->dates}};
}

Json protocol_json(const BacktestResult& result) {
  Json origins = Json::array();
  for (const std::int64_t origin : result.judgement.origins) origins.push_back(result.date_of(origin));
  const Judgement& judged = result.judgement;
  return {{"origins", origins},
          {"stride", result.config.stride},
          {"horizon", judged.horizon},
          {"context", judged.context},
          {"first_unseen_date", result.date_of(judged.validate_end)},
          {"baselines", result.config.baselines},
          {"history", result.config.history},
          {"refit_every", result.config.refit_every},
          {"combine",
           {{"methods", result.config.combine.methods},
            {"of", result.config.combine.of},
            {"by", result.config.combine.by == CombineBy::overall ? "overall" : "category"}}},
          {"season", result.config.season},
          {"by", result.config.by},
          {"views", result.config.views},
          {"promotion", result.config.promotion},
          {"price", result.config.price},
          {"hierarchy", result.config.hierarchy},
          {"classes", result.config.classes},
          {"orders",
           {{"review", result.config.orders.review},
            {"lead", result.config.orders.lead},
            {"service", result.config.orders.service}}},
          {"moving_average_window", result.config.window},
          {"seasonal_gaps",
           result.config.seasonal_gaps == SeasonalGaps::last_season ? "last_season" : "last_value"},
          {"evaluation_batch", result.config.batch},
          {"bootstrap_resamples", result.config.bootstrap},
          {"windows", judged.windows},
          {"targets", whole(judged.targets)},
          {"missing_targets", whole(judged.missing_targets)},
          {"zero_targets", whole(judged.zero_targets)}};
}

Json combinations_json(const BacktestResult& result) {
  Json weights = Json::array();
  for (const CombinationWeights& w : result.combinations.weights)
    weights.push_back({{"combination", w.combination},
                       {"level", w.level},
                       {"origin", result.date_of(w.origin)},
                       {"weights", w.weights}});
  return {{"members", result.combinations.members}, {"weights", weights}};
}

Json unfinished_json(const BacktestResult& result) {
  Json trainings = Json::array();
  for (const UnfinishedTraining& training : result.unfinished)
    trainings.push_back({{"run", training.run}, {"step", training.step}, {"planned", training.planned}});
  return trainings;
}

Json corpus_json(const BacktestResult& result) {
  const data::CorpusInfo& info = result.corpus;
  Json covariates = Json::array(), statics = Json::array();
  for (const data::CovariateInfo& c : info.covariates)
    covariates.push_back({{"name", c.name}, {"known", c.role == data::Role::known}});
  for (const data::StaticInfo& s : info.statics)
    statics.push_back({{"name", s.name},
                       {"values", s.kind == data::Kind::categorical ? Json(s.vocabulary.size()) : Json()}});
  return {{"name", info.name},
          {"target", info.target},
          {"digest", result.corpus_digest},
          {"series", info.series},
          {"first_date", result.date_of(0)},
          {"last_date", result.date_of(info.demand_end - 1)},
          {"frequency", to_string(info.axis.frequency)},
          {"steps", info.demand_end},
          {"cells", whole(result.judgement.history.cells)},
          {"missing", whole(result.judgement.history.missing)},
          {"zeros", whole(result.judgement.history.zeros)},
          {"covariates", covariates},
          {"statics", statics},
          {"notes", info.notes}};
}

void append_rows(const std::string& model, const GroupScores& group, std::string& csv) {
  const std::string head =
      fmt::format("{},{},{}", csv_cell(model), csv_cell(group.group), csv_cell(group.level));
  for (const Score& score : group.scores) {
    const std::string value = score.value ? fmt::format("{}", *score.value) : std::string();
    csv += fmt::format("{},{},{},{}\n", head, score.metric, value, score.n);
  }
}

}  // namespace

Score GroupScores::score(const std::string& metric) const {
  const auto found = std::ranges::find(scores, metric, &Score::metric);
  return found != scores.end() ? *found : Score{metric, std::nullopt, 0};
}

void add_series(const SeriesErrors& errors, LossRecord& record) {
  record.absolute.push_back(errors.absolute_error);
  record.squared.push_back(errors.squared_error);
  record.quantile.push_back(errors.quantile_loss);
  if (errors.wrmsse) record.wrmsse.push_back(*errors.wrmsse);
}

std::string BacktestResult::date_of(std::int64_t step) const {
  return format_date(corpus.axis.date_of(step));
}

nlohmann::ordered_json comparison_json(const Comparison& comparison) {
  return {{"model", comparison.model},
          {"baseline", comparison.baseline},
          {"metric", comparison.metric},
          {"category", comparison.category.empty() ? Json() : Json(comparison.category)},
          {"relative_difference", to_json(comparison.difference)},
          {"low", to_json(comparison.low)},
          {"high", to_json(comparison.high)},
          {"verdict", to_string(comparison.verdict)},
          {"series", comparison.series},
          {"diebold_mariano", dates_json(comparison.dates)}};
}

nlohmann::ordered_json result_json(const BacktestResult& result) {
  Json forecasters = Json::array(), comparisons = Json::array(), category_comparisons = Json::array();
  for (const ForecasterResult& forecaster : result.forecasters)
    forecasters.push_back(forecaster_json(forecaster));
  for (const Comparison& comparison : result.comparisons) comparisons.push_back(comparison_json(comparison));
  for (const Comparison& comparison : result.category_comparisons)
    category_comparisons.push_back(comparison_json(comparison));
  return {{"format", 3},
          {"corpus", corpus_json(result)},
          {"protocol", protocol_json(result)},
          {"absent_groups", result.absent_groups},
          {"models", result.models},
          {"unfinished_trainings", unfinished_json(result)},
          {"forecasters", forecasters},
          {"combinations", combinations_json(result)},
          {"comparisons", comparisons},
          {"category_comparisons", category_comparisons}};
}

std::string result_csv(const BacktestResult& result) {
  std::string csv = "model,group,level,metric,value,n\n";
  for (const ForecasterResult& forecaster : result.forecasters) {
    append_rows(forecaster.name, forecaster.overall, csv);
    for (const GroupScores& group : forecaster.groups) append_rows(forecaster.name, group, csv);
  }
  return csv;
}

std::string series_csv(const BacktestResult& result) {
  std::string csv =
      "model,series,n,absolute_error,squared_error,absolute_target,category,quantile_loss,wrmsse\n";
  for (const ForecasterResult& forecaster : result.forecasters) {
    const std::string model = csv_cell(forecaster.name);
    for (std::size_t i = 0; i < forecaster.series.size(); ++i) {
      const SeriesErrors& errors = forecaster.series[i];
      csv += fmt::format("{},{},{},{},{},{},{},{},{}\n", model, csv_cell(result.series_names[i]), errors.n,
                         errors.absolute_error, errors.squared_error, errors.absolute_target,
                         csv_cell(result.categories[result.category_of[i]]), errors.quantile_loss,
                         errors.wrmsse ? fmt::format("{}", *errors.wrmsse) : std::string());
    }
  }
  return csv;
}

std::string dates_csv(const BacktestResult& result) {
  std::string csv = "model,category,date,n,absolute_error,squared_error,quantile_loss\n";
  for (const LossRecord& record : result.losses)
    for (std::size_t category = 0; category < record.dates.size(); ++category)
      for (const DateSums& date : record.dates[category])
        csv += fmt::format("{},{},{},{},{},{},{}\n", csv_cell(record.name),
                           csv_cell(result.categories[category]), result.date_of(date.step), date.n,
                           date.absolute, date.squared, date.quantile);
  return csv;
}

std::string wrmsse_csv(const BacktestResult& result) {
  std::string csv = "model,date,wrmsse\n";
  for (const LossRecord& record : result.losses)
    for (const DateWrmsse& date : record.wrmsse_dates)
      csv += fmt::format("{},{},{}\n", csv_cell(record.name), result.date_of(date.step), date.value);
  return csv;
}

nlohmann::ordered_json fans_json(const BacktestResult& result) {
  Json fans = Json::array();
  for (const Fan& fan : result.fans) {
    Json forecasts = Json::array();
    for (const Fan::Forecast& forecast : fan.forecasts)
      forecasts.push_back({{"name", forecast.name},
                           {"quantile_levels", forecast.levels},
                           {"quantiles", forecast.quantiles_qh},
                           {"median", forecast.median_h},
                           {"mean", forecast.mean_h}});
    fans.push_back({{"series", fan.series},
                    {"why", fan.why},
                    {"origin", result.date_of(fan.origin)},
                    {"history", fan.history},
                    {"target", fan.target},
                    {"forecasts", forecasts}});
  }
  return fans;
}

nlohmann::ordered_json run_json(const RunMetadata& metadata) {
  Json facts = Json::array(), environment = Json::array();
  for (const auto& [name, value] : metadata.facts) facts.push_back({name, value});
  for (const auto& [name, value] : metadata.environment) environment.push_back({name, value});
  return {{"title", metadata.title},
          {"facts", facts},
          {"environment", environment},
          {"commands", metadata.commands},
          {"seconds", metadata.seconds},
          {"ranks", metadata.ranks},
          {"peak_memory_bytes", metadata.peak_memory_bytes}};
}

void write_backtest(const BacktestResult& result, const std::filesystem::path& run_folder,
                    const RunMetadata& metadata) {
  const std::filesystem::path folder = run_folder / "backtest";
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) throw io_error(fmt::format("cannot make {}", folder.string()), failed.value());
  // The last file says which others belong to it: a backtest that ended half-way is not mixed with the one
  // before.
  nlohmann::ordered_json digests;
  const auto write = [&](const char* name, const std::string& text) {
    digests[name] = digest_text(text);
    write_file_atomically(folder / name, text);
  };
  write("metrics.csv", result_csv(result));
  write("series.csv", series_csv(result));
  write("dates.csv", dates_csv(result));
  write("wrmsse.csv", wrmsse_csv(result));
  write("fans.json", fans_json(result).dump() + "\n");
  // How long it took is no result.
  write_file_atomically(folder / "run.json", run_json(metadata).dump(1) + "\n");
  nlohmann::ordered_json whole = result_json(result);
  whole["files"] = digests;
  write_file_atomically(folder / "result.json", whole.dump(1) + "\n");
}

}  // namespace shelfcast::eval
