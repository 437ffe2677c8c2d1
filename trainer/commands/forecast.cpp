// shelfcast forecast MODEL --sales sales.csv: forecasts for a table of recent sales.
#include <ATen/Parallel.h>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "trainer/commands/commands.h"
#include "trainer/forecast_table.h"
#include "trainer/model_forecaster.h"
#include "trainer/series_forecaster.h"

namespace shelfcast::trainer {
namespace {

void warn_of_gaps(const ForecastRequest& request, const std::string& file) {
  if (!request.missing_columns.empty())
    log::warn("{} has no column {} - the model reads it as missing, add the column for better forecasts",
              file, fmt::join(request.missing_columns, ", "));
  if (request.unknown_series > 0)
    log::warn("{} of the series have facts the model has not seen - they share its bucket for unknown ones",
              request.unknown_series);
}

void say_done(const ForecastCommand& options, const data::SalesTable& table, std::int64_t horizon) {
  log::all("{}: {} steps for {} series from {}", options.out, horizon, table.series.size(),
           format_date(table.axis.date_of(table.demand_end)));
}

void forecast_published(const ForecastCommand& options) {
  if (options.threads > 0) at::set_num_threads(static_cast<int>(options.threads));
  const std::unique_ptr<models::SeriesModel> model = models::open_series_model(options.model);
  const data::SalesTable table = data::read_sales_table(options.sales);
  const std::int64_t horizon = options.horizon == 0 ? model->prediction_length() : options.horizon;
  const data::FeatureSpec spec = series_features(*model, table.demand_end, horizon, table.axis.frequency);
  const ForecastRequest request = make_request(table, spec, nullptr);
  SeriesForecaster forecaster(name_of(options.model), *model, spec, options.quantiles);
  write_file_atomically(options.out, forecast_csv(table, request, spec, horizon, forecaster));
  say_done(options, table, horizon);
}

void forecast_run(const ForecastCommand& options) {
  const TrainedRun trained = open_run(options.model);
  const std::int64_t longest = trained.features.horizon;
  const std::int64_t horizon = options.horizon == 0 ? longest : options.horizon;
  if (horizon > longest)
    throw input_error(fmt::format("--horizon {} is longer than the model's {}", horizon, longest), "",
                      fmt::format("ask for at most {} steps, or train with a longer data.horizon", longest));
  const data::SalesTable table = data::read_sales_table(options.sales, trained.features.frequency);
  std::unique_ptr<data::Corpus> corpus;
  if (std::filesystem::exists(trained.recipe.data.corpus))
    corpus = std::make_unique<data::Corpus>(trained.recipe.data.corpus);
  const ForecastRequest request = make_request(table, trained.features, corpus.get());
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
  is_published_model(options.model) ? forecast_published(options) : forecast_run(options);
}

}  // namespace shelfcast::trainer
