// shelfcast forecast MODEL --sales sales.csv: forecasts for a table of recent sales.
#include <ATen/Parallel.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "trainer/commands/commands.h"
#include "trainer/forecast_table.h"
#include "trainer/model_forecaster.h"
#include "trainer/output_file.h"
#include "trainer/series_forecaster.h"

namespace shelfcast::trainer {
namespace {

void warn_of_gaps(const ForecastRequest& request, const std::string& file) {
  if (!request.missing_columns.empty())
    log::warn("{} has no column {} - the model reads it as missing, add the column for better forecasts",
              file, fmt::join(request.missing_columns, ", "));
  for (const FutureGap& gap : request.future_gaps)
    log::warn(
        "{} has no {} in {} of the {} cells to forecast - the model reads them as missing; add rows of the "
        "days to forecast with an empty value, or fill the column in there",
        file, gap.column, gap.missing, gap.cells);
  if (!request.no_censored.empty())
    log::warn("{} has no column {} - all its sales count as demand that no stock-out cut", file,
              request.no_censored);
  for (const auto& [name, count] : request.not_positive)
    log::warn(
        "{} values of {} in {} are not above 0, as all were in training - the model reads them as missing",
        count, name, file);
  if (request.unobserved_series > 0)
    log::all(
        "{} of the series have no value in the steps that the model reads (the first: {}): they are forecast "
        "as series without a history",
        request.unobserved_series, request.first_unobserved);
  for (const auto& [name, meant] : request.misspelt)
    log::warn("nothing reads column {} of {} - did you mean {}?", name, file, meant);
  for (const UnseenWords& unseen : request.unseen_words)
    log::warn(
        "{} cells of {} hold what the model has not seen (the first: \"{}\") - it reads them as missing",
        unseen.count, unseen.column, unseen.first);
  if (request.unknown_series > 0)
    log::warn(
        "{} of the series have facts the model has not seen (the first: {}) - they share its bucket for "
        "unknown ones",
        request.unknown_series, request.first_unknown);
}

void say_done(const ForecastCommand& options, const data::SalesTable& table, std::int64_t horizon) {
  log::all("{}: {} steps for {} series from {}", options.out, horizon, table.series.size(),
           format_date(table.axis.date_of(table.demand_end)));
}

// Columns of the table by their names, as they stand in it.
void add_columns(const std::vector<std::string>& names, const data::SalesTable& table,
                 const std::string& file, std::vector<data::FeatureColumn>& numeric,
                 std::vector<data::FeatureColumn>& categorical) {
  for (const std::string& name : names) {
    const auto found = std::find_if(table.covariates.begin(), table.covariates.end(),
                                    [&](const auto& column) { return column.name == name; });
    if (found == table.covariates.end()) {
      std::vector<std::string> there;
      for (const auto& column : table.covariates) there.push_back(column.name);
      throw input_error(
          fmt::format("{} has no column \"{}\"", file, name),
          there.empty() ? "it holds sales alone" : fmt::format("it has {}", fmt::join(there, ", ")),
          "name columns of the table under --known and --past");
    }
    (found->kind() == data::Kind::numeric ? numeric : categorical)
        .push_back({name, found->kind(), "series", {data::Scaler::Kind::raw}, found->vocabulary});
  }
}

void refuse_columns_named_twice(const ForecastCommand& options) {
  std::set<std::string> named;
  for (const auto* names : {&options.known, &options.past})
    for (const std::string& name : *names)
      if (!named.insert(name).second)
        throw input_error(fmt::format("column \"{}\" is named twice under --known and --past", name),
                          "a model reads a column once", "name it once");
}

void forecast_published(const ForecastCommand& options) {
  if (options.threads > 0) at::set_num_threads(static_cast<int>(options.threads));
  const std::unique_ptr<models::SeriesModel> model = models::open_series_model(options.model);
  const data::SalesTable table = data::read_sales_table(options.sales);
  const std::int64_t horizon = options.horizon == 0 ? model->prediction_length() : options.horizon;
  refuse_columns_named_twice(options);
  data::FeatureSpec columns;
  columns.horizon = horizon;
  columns.frequency = table.axis.frequency;
  add_columns(options.known, table, options.sales, columns.known_numeric, columns.known_categorical);
  add_columns(options.past, table, options.sales, columns.past_numeric, columns.past_categorical);
  const data::FeatureSpec spec = series_features(*model, columns, table.demand_end);
  const ForecastRequest request = make_request(table, spec, horizon, nullptr);
  warn_of_gaps(request, options.sales);
  SeriesForecaster forecaster(name_of(options.model), *model, spec, options.quantiles);
  write_file_atomically(options.out, forecast_csv(table, request, spec, horizon, forecaster));
  say_done(options, table, horizon);
}

void forecast_run(const ForecastCommand& options) {
  if (!options.known.empty() || !options.past.empty())
    throw input_error("--known and --past are for published models",
                      fmt::format("{} is a run: it knows its columns", options.model));
  const TrainedRun trained = open_run(options.model);
  const std::int64_t longest = trained.features.horizon;
  const std::int64_t horizon = options.horizon == 0 ? longest : options.horizon;
  if (horizon > longest)
    throw input_error(fmt::format("--horizon {} is longer than the model's {}", horizon, longest), "",
                      fmt::format("ask for at most {} steps, or train with a longer data.horizon", longest));
  const data::SalesTable table = data::read_sales_table(options.sales, trained.features.frequency);
  std::unique_ptr<data::Corpus> corpus;
  if (std::filesystem::exists(trained.recipe.data.corpus))
    corpus = std::make_unique<data::Corpus>(trained.recipe.data.source());
  const ForecastRequest request = make_request(table, trained.features, horizon, corpus.get());
  warn_of_gaps(request, options.sales);
  const SeriesTexts texts = table_texts(table, trained, corpus.get());
  if (texts.series_without() > 0)
    log::warn("{} of the series have no text, neither in a column \"text\" of {} nor in the corpus",
              texts.series_without(), options.sales);
  ModelForecaster forecaster(trained.name(), *trained.model, trained.features, texts, options.quantiles);
  write_file_atomically(options.out, forecast_csv(table, request, trained.features, horizon, forecaster));
  say_done(options, table, horizon);
}

}  // namespace

void run(const ForecastCommand& options, parallel::Launch&) {
  check_output(options.out, options.sales);
  is_published_model(options.model) ? forecast_published(options) : forecast_run(options);
}

}  // namespace shelfcast::trainer
