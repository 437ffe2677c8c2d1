#include "trainer/forecast_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "base/csv.h"
#include "data/batch.h"
#include "eval/demand_level.h"

namespace shelfcast::trainer {
namespace {

constexpr std::int64_t kBatch = 256;
constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

const data::SalesTable::Column* find_column(const data::SalesTable& table, const std::string& name) {
  const auto found = std::find_if(table.covariates.begin(), table.covariates.end(),
                                  [&](const auto& column) { return column.name == name; });
  return found == table.covariates.end() ? nullptr : &*found;
}

std::unordered_map<std::string, std::int32_t> index_of(const std::vector<std::string>& names) {
  std::unordered_map<std::string, std::int32_t> index;
  for (std::size_t i = 0; i < names.size(); ++i) index.emplace(names[i], static_cast<std::int32_t>(i));
  return index;
}

// The text of one cell: a category by its name, a number as it would be written ("7", not "7.0").
std::string cell_text(const data::SalesTable::Column& column, float value) {
  if (std::isnan(value) || (column.kind == data::Kind::categorical && value < 0)) return "";
  return column.kind == data::Kind::categorical ? column.vocabulary[static_cast<std::size_t>(value)]
                                                : fmt::format("{}", value);
}

// The feature of the model that a covariate feeds; nullptr when the name is the mask of censored demand, or
// of stock on hand that is no covariate.
const data::FeatureColumn* find_feature(const data::FeatureSpec& spec, const std::string& name) {
  for (const auto* columns :
       {&spec.past_numeric, &spec.past_categorical, &spec.known_numeric, &spec.known_categorical})
    for (const data::FeatureColumn& column : *columns)
      if (column.name == name) return &column;
  return nullptr;
}

// The table's column in the codes of the model's vocabulary (numbers stay numbers).
std::vector<float> in_model_terms(const data::SalesTable::Column& column, const data::FeatureColumn* feature,
                                  ForecastRequest& request) {
  if (feature == nullptr || feature->kind == data::Kind::numeric) return column.values;
  const auto codes = index_of(feature->vocabulary);
  std::vector<float> values;
  values.reserve(column.values.size());
  UnseenWords unseen{column.name, 0, {}};
  for (const float value : column.values) {
    const std::string word = cell_text(column, value);
    const auto found = codes.find(word);
    values.push_back(found == codes.end() ? -1.0F : static_cast<float>(found->second));
    if (found == codes.end() && !word.empty() && unseen.count++ == 0) unseen.first = word;
  }
  if (unseen.count > 0) request.unseen_words.push_back(std::move(unseen));
  return values;
}

// Whether no series has a value on the steps to be forecast.
bool ends_with_sales(const data::SalesTable& table, const data::SalesTable::Column& column,
                     std::int64_t horizon) {
  for (std::int64_t series = 0; series < std::ssize(table.series); ++series)
    for (std::int64_t step = table.demand_end; step < std::min(table.steps, table.demand_end + horizon);
         ++step)
      if (!cell_text(column, column.values[static_cast<std::size_t>(series * table.steps + step)]).empty())
        return false;
  return true;
}

bool is_known_ahead(const data::FeatureSpec& spec, const std::string& name) {
  const auto has = [&](const std::vector<data::FeatureColumn>& columns) {
    return std::ranges::find(columns, name, &data::FeatureColumn::name) != columns.end();
  };
  return has(spec.known_numeric) || has(spec.known_categorical);
}

void add_columns(const data::SalesTable& table, const data::FeatureSpec& spec, ForecastRequest& request) {
  const data::WindowAssembler assembler(spec, table.axis, request.statics, request.static_numbers);
  const std::size_t cells = static_cast<std::size_t>(request.block.series * request.block.steps);
  for (const std::string& name : assembler.columns()) {
    const data::FeatureColumn* feature = find_feature(spec, name);
    const data::SalesTable::Column* column = find_column(table, name);
    data::PanelBlock::Column& target = request.block.columns.emplace_back();
    target.rows = request.block.series;
    if (column != nullptr) {
      target.values = in_model_terms(*column, feature, request);
      if (is_known_ahead(spec, name) && ends_with_sales(table, *column, spec.horizon))
        request.columns_without_future.push_back(name);
      continue;
    }
    const bool categorical = feature != nullptr && feature->kind == data::Kind::categorical;
    target.values.assign(cells, categorical ? -1.0F : kMissing);
    // Without a column that says so, no demand was censored.
    if (name != spec.censored) request.missing_columns.push_back(name);
  }
}

// The first cell of a series that says something, as text.
std::string first_cell(const data::SalesTable& table, const data::SalesTable::Column& column,
                       std::size_t series) {
  for (std::int64_t step = 0; step < table.steps; ++step) {
    std::string text = cell_text(
        column,
        column.values[series * static_cast<std::size_t>(table.steps) + static_cast<std::size_t>(step)]);
    if (!text.empty()) return text;
  }
  return "";
}

// The value of a static for each series of the table, "" = not known.
std::vector<std::string> static_texts(const data::SalesTable& table, const std::string& name,
                                      const data::Corpus* corpus) {
  std::vector<std::string> texts(table.series.size());
  if (const data::SalesTable::Column* column = find_column(table, name)) {
    for (std::size_t series = 0; series < texts.size(); ++series)
      texts[series] = first_cell(table, *column, series);
    return texts;
  }
  if (corpus == nullptr) return texts;
  const std::size_t index = corpus->info().static_index(name);
  const auto rows = index_of(corpus->series_names());
  for (std::size_t series = 0; series < texts.size(); ++series) {
    const auto row = rows.find(table.series[series]);
    if (row == rows.end()) continue;
    const std::int32_t code = corpus->static_codes(index)[static_cast<std::size_t>(row->second)];
    if (code >= 0) texts[series] = corpus->info().statics[index].vocabulary[static_cast<std::size_t>(code)];
  }
  return texts;
}

// The same for a static that is a number, NaN = not known: the first one in the table, or the corpus' own.
std::vector<float> static_values(const data::SalesTable& table, const std::string& name,
                                 const data::Corpus* corpus) {
  std::vector<float> values(table.series.size(), kMissing);
  if (const data::SalesTable::Column* column = find_column(table, name)) {
    if (column->kind != data::Kind::numeric)
      throw input_error(fmt::format("column \"{}\" holds words", name), "the model reads a number there",
                        "write numbers, or leave cells empty");
    const auto steps = static_cast<std::size_t>(table.steps);
    for (std::size_t series = 0; series < values.size(); ++series)
      for (std::size_t step = 0; step < steps && std::isnan(values[series]); ++step)
        values[series] = column->values[series * steps + step];
    return values;
  }
  if (corpus == nullptr) return values;
  const std::span<const float> stored = corpus->static_values(corpus->info().static_index(name));
  const auto rows = index_of(corpus->series_names());
  for (std::size_t series = 0; series < values.size(); ++series)
    if (const auto row = rows.find(table.series[series]); row != rows.end())
      values[series] = stored[static_cast<std::size_t>(row->second)];
  return values;
}

void add_statics(const data::SalesTable& table, const data::FeatureSpec& spec, const data::Corpus* corpus,
                 ForecastRequest& request) {
  std::vector<bool> unknown(table.series.size(), false);
  const auto note = [&](std::size_t series, const std::string& name, const std::string& value) {
    if (request.first_unknown.empty())
      request.first_unknown = value.empty()
                                  ? fmt::format("no {} of {}", name, table.series[series])
                                  : fmt::format("{} \"{}\" of {}", name, value, table.series[series]);
    unknown[series] = true;
  };
  for (const data::StaticColumn& column : spec.statics) {
    const auto codes = index_of(column.vocabulary);
    std::vector<std::int32_t>& target = request.statics.emplace_back();
    const std::vector<std::string> texts = static_texts(table, column.name, corpus);
    for (std::size_t series = 0; series < texts.size(); ++series) {
      const auto found = codes.find(texts[series]);
      target.push_back(found == codes.end() ? 0 : found->second + 1);
      if (found == codes.end()) note(series, column.name, texts[series]);
    }
  }
  for (const data::NumericStatic& fact : spec.static_numbers) {
    const std::vector<float>& values =
        request.static_numbers.emplace_back(static_values(table, fact.name, corpus));
    for (std::size_t series = 0; series < values.size(); ++series)
      if (std::isnan(values[series])) note(series, fact.name, "");
  }
  request.unknown_series = std::count(unknown.begin(), unknown.end(), true);
}

void append_rows(const data::SalesTable& table, const data::Batch& batch, std::int64_t model_horizon,
                 std::int64_t horizon, const eval::ForecastValues& values, std::string& csv) {
  const auto levels = static_cast<std::int64_t>(values.levels.size());
  const std::int64_t classes = std::ssize(values.classes_bch) / std::ssize(values.mean_bh);
  for (std::int64_t row = 0; row < batch.windows; ++row) {
    const std::int64_t series = batch.window_b[static_cast<std::size_t>(row)].series;
    const std::string name = csv_cell(table.series[static_cast<std::size_t>(series)]);
    for (std::int64_t step = 0; step < horizon; ++step) {
      csv += fmt::format("{},{},{:.6g}", name, format_date(table.axis.date_of(table.demand_end + step)),
                         values.mean_bh[static_cast<std::size_t>(row * model_horizon + step)]);
      for (std::int64_t q = 0; q < levels; ++q)
        csv += fmt::format(
            ",{:.6g}",
            values.quantiles_bqh[static_cast<std::size_t>((row * levels + q) * model_horizon + step)]);
      for (std::int64_t q = 0; !values.cumulated_bqh.empty() && q < levels; ++q)
        csv += fmt::format(
            ",{:.6g}",
            values.cumulated_bqh[static_cast<std::size_t>((row * levels + q) * model_horizon + step)]);
      for (std::int64_t c = 0; c < classes; ++c)
        csv += fmt::format(
            ",{:.6g}",
            values.classes_bch[static_cast<std::size_t>((row * classes + c) * model_horizon + step)]);
      if (!values.inventory_bh.empty())
        csv +=
            fmt::format(",{:.6g}", values.inventory_bh[static_cast<std::size_t>(row * model_horizon + step)]);
      csv += '\n';
    }
  }
}

}  // namespace

ForecastRequest make_request(const data::SalesTable& table, const data::FeatureSpec& spec,
                             const data::Corpus* corpus) {
  ForecastRequest request;
  request.block.series = static_cast<std::int64_t>(table.series.size());
  request.block.steps = table.steps;
  request.block.demand = table.demand;
  add_statics(table, spec, corpus, request);
  add_columns(table, spec, request);
  return request;
}

SeriesTexts table_texts(const data::SalesTable& table, const TrainedRun& run, const data::Corpus* corpus) {
  if (run.features.text.width == 0) return {};
  std::vector<std::string> texts(table.series.size());
  if (const data::SalesTable::Column* column = find_column(table, "text"))
    for (std::size_t series = 0; series < texts.size(); ++series)
      texts[series] = first_cell(table, *column, series);
  if (corpus != nullptr) {
    const std::unordered_map<std::string, std::string> of_item = text_of_item(*corpus);
    const std::vector<std::string> items = static_texts(table, corpus->info().item_level, corpus);
    for (std::size_t series = 0; series < texts.size(); ++series)
      if (const auto found = of_item.find(items[series]); texts[series].empty() && found != of_item.end())
        texts[series] = found->second;
  }
  return encode_series_texts(texts, corpus, run.features.text, run.recipe.model);
}

std::string forecast_csv(const data::SalesTable& table, const ForecastRequest& request,
                         const data::FeatureSpec& spec, std::int64_t horizon, eval::Forecaster& forecaster) {
  const data::WindowAssembler assembler(spec, table.axis, request.statics, request.static_numbers);
  std::string csv;
  data::Batch batch;
  eval::ForecastValues values;
  for (std::int64_t first = 0; first < request.block.series; first += kBatch) {
    batch.resize(spec, std::min(kBatch, request.block.series - first));
    for (std::int64_t row = 0; row < batch.windows; ++row)
      assembler.assemble(request.block, {first + row, table.demand_end}, first + row, row, batch);
    forecaster.forecast(batch, values);
    if (csv.empty()) {
      csv = "series,date,mean";
      for (const double level : values.levels) csv += fmt::format(",q{}", level);
      if (forecaster.says_sums())
        for (const double level : values.levels) csv += fmt::format(",sum_q{}", level);
      if (forecaster.says_classes())
        for (const std::string& level : eval::demand_levels()) csv += fmt::format(",{}", level);
      if (forecaster.says_inventory()) csv += fmt::format(",{}", spec.inventory);
      csv += '\n';
    }
    append_rows(table, batch, spec.horizon, horizon, values, csv);
  }
  return csv;
}

}  // namespace shelfcast::trainer
