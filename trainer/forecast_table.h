// From a table of recent sales to a table of forecasts.
#pragma once

#include <string>
#include <vector>

#include "data/ingest/sales_table.h"
#include "eval/forecaster.h"
#include "scorer/bundle.h"
#include "trainer/text/series_texts.h"
#include "trainer/trained_run.h"
#include "trainer/unseen_words.h"

namespace shelfcast::trainer {

using scorer::FutureGap;  // cells that the table leaves empty

// A sales table in the form a model reads, and what could not be found for it.
struct ForecastRequest {
  data::PanelBlock block;
  std::vector<std::vector<std::int32_t>> statics;  // [static][series], model codes
  std::vector<std::vector<float>> static_numbers;  // [static][series], NaN = missing
  std::vector<std::string> missing_columns;  // of the model, absent from the table: treated as missing values
  std::vector<FutureGap> future_gaps;
  // Columns that nothing reads, and the one of the model that each may stand for.
  std::vector<std::pair<std::string, std::string>> misspelt;
  // Columns whose values were above 0 in all of training, and how many here are not: they count as missing.
  std::vector<std::pair<std::string, std::int64_t>> not_positive;
  std::string no_censored;  // the column of data.censored where the table lacks it: no sales count as cut
  // Series without any value in the steps that the model reads: how many, and the first.
  std::int64_t unobserved_series = 0;
  std::string first_unobserved;
  std::vector<UnseenWords> unseen_words;  // of columns, counted in cells
  std::int64_t unknown_series = 0;        // series with a static the model has not seen: its bucket "unknown"
  std::string first_unknown;              // of the first of them: "store \"mars\" of a-1"
};

// For a forecast of `horizon` steps. Statics come from columns of the table named like them, else from the
// corpus' series of the same name. Throws Error(input) where a column that the model reads numbers in holds
// words.
ForecastRequest make_request(const data::SalesTable& table, const data::FeatureSpec& spec,
                             std::int64_t horizon, const data::Corpus* corpus);

// Texts of the table's series: from its column "text", else the corpus' for their item, which stands in a
// column named like the item level or belongs to the corpus' series of the same name. Nothing when the model
// reads no text. Throws what encode_series_texts throws.
SeriesTexts table_texts(const data::SalesTable& table, const TrainedRun& run, const data::Corpus* corpus);

// CSV text "series,date,mean,q0.1,...": `horizon` rows a series, the first on the step after the table's last
// value. Of a model that says so also "sum_q0.1,...", quantiles of the demand from the first row to this one,
// and "low,normal,high", how likely each is.
std::string forecast_csv(const data::SalesTable& table, const ForecastRequest& request,
                         const data::FeatureSpec& spec, std::int64_t horizon, eval::Forecaster& forecaster);

}  // namespace shelfcast::trainer
