// shelfcast forecast RUN --sales sales.csv: forecasts for a table of recent sales.
#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "trainer/commands/commands.h"
#include "trainer/forecast_table.h"
#include "trainer/model_forecaster.h"

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

}  // namespace

void run(const ForecastCommand& options, parallel::Launch&) {
  const TrainedRun trained = open_run(options.run);
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
  ModelForecaster forecaster(trained.name(), *trained.model, trained.features);
  write_file_atomically(options.out, forecast_csv(table, request, trained.features, horizon, forecaster));
  log::all("{}: {} steps for {} series from {}", options.out, horizon, table.series.size(),
           format_date(table.axis.date_of(table.demand_end)));
}

}  // namespace shelfcast::trainer
