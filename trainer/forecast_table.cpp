#include "trainer/forecast_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
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

// The model's code of each text of a column, -1 = it has none. A text that it does not know may be a number
// that it knows as otherwise written ("7.0").
std::vector<std::int32_t> model_codes(const data::SalesTable::Column& column,
                                      const std::vector<std::string>& words) {
  const auto index = index_of(words);
  std::vector<std::int32_t> codes;
  for (std::size_t i = 0; i < column.vocabulary.size(); ++i) {
    auto found = index.find(column.vocabulary[i]);
    if (found == index.end() && i < column.numbers.size())
      found = index.find(fmt::format("{}", column.numbers[i]));
    codes.push_back(found == index.end() ? -1 : found->second);
  }
  return codes;
}

// [series, steps], NaN = missing. Throws Error(input) naming a word.
std::vector<float> numbers_of(const data::SalesTable& table, const data::SalesTable::Column& column) {
  std::vector<float> values(column.codes.size(), kMissing);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (column.codes[i] < 0) continue;
    const auto text = static_cast<std::size_t>(column.codes[i]);
    if (text == column.numbers.size())  // the first that is no number
      throw input_error(
          fmt::format("column \"{}\" holds words: \"{}\" of {} on {}", column.name, column.vocabulary[text],
                      table.series[i / static_cast<std::size_t>(table.steps)],
                      format_date(table.axis.date_of(static_cast<std::int64_t>(i) % table.steps))),
          "the model reads numbers there", "write numbers, or leave cells empty");
    if (text < column.numbers.size()) values[i] = column.numbers[text];
  }
  return values;
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
std::vector<float> in_model_terms(const data::SalesTable& table, const data::SalesTable::Column& column,
                                  const data::FeatureColumn* feature, ForecastRequest& request) {
  if (feature == nullptr || feature->kind == data::Kind::numeric) return numbers_of(table, column);
  const std::vector<std::int32_t> codes = model_codes(column, feature->vocabulary);
  std::vector<float> values;
  values.reserve(column.codes.size());
  UnseenWords unseen{column.name, 0, {}};
  for (const std::int32_t text : column.codes) {
    const std::int32_t code = text < 0 ? -1 : codes[static_cast<std::size_t>(text)];
    values.push_back(static_cast<float>(code));
    if (text < 0 || code >= 0) continue;
    // Where all are numbers, a word for none of them is a missing one.
    if (column.kind() == data::Kind::numeric && std::isnan(column.numbers[static_cast<std::size_t>(text)]))
      continue;
    if (unseen.count++ == 0) unseen.first = column.vocabulary[static_cast<std::size_t>(text)];
  }
  if (unseen.count > 0) request.unseen_words.push_back(std::move(unseen));
  return values;
}

// Notes values that a column scaled by logarithms cannot hold.
void note_not_positive(const data::FeatureColumn* feature, const std::vector<float>& values,
                       ForecastRequest& request) {
  if (feature == nullptr || feature->scaler.kind != data::Scaler::Kind::log_ratio) return;
  const auto count = std::ranges::count_if(values, [](float x) { return x <= 0.0F; });
  if (count > 0) request.not_positive.emplace_back(feature->name, count);
}

void note_unobserved(const data::SalesTable& table, std::int64_t context, ForecastRequest& request) {
  const std::int64_t first = std::max<std::int64_t>(0, table.demand_end - context);
  for (std::int64_t series = 0; series < std::ssize(table.series); ++series) {
    const auto row = std::span(table.demand)
                         .subspan(static_cast<std::size_t>(series * table.steps + first),
                                  static_cast<std::size_t>(table.demand_end - first));
    if (!std::ranges::all_of(row, [](float x) { return std::isnan(x); })) continue;
    if (request.unobserved_series++ == 0)
      request.first_unobserved = table.series[static_cast<std::size_t>(series)];
  }
}

// Notes what the table does not say of the `horizon` steps after the sales, in a column known ahead.
void note_future(const data::SalesTable& table, const data::SalesTable::Column& column,
                 const std::vector<float>& values, std::int64_t horizon, ForecastRequest& request) {
  FutureGap gap{column.name, 0, std::ssize(table.series) * horizon};
  for (std::int64_t series = 0; series < std::ssize(table.series); ++series)
    for (std::int64_t step = table.demand_end; step < table.demand_end + horizon; ++step) {
      const auto cell = static_cast<std::size_t>(series * table.steps + step);
      // A word that the model does not know is there all the same.
      const bool there = step < table.steps && column.codes[cell] >= 0 && !std::isnan(values[cell]);
      gap.missing += there ? 0 : 1;
    }
  if (gap.missing > 0) request.future_gaps.push_back(std::move(gap));
}

bool is_known_ahead(const data::FeatureSpec& spec, const std::string& name) {
  const auto has = [&](const std::vector<data::FeatureColumn>& columns) {
    return std::ranges::find(columns, name, &data::FeatureColumn::name) != columns.end();
  };
  return has(spec.known_numeric) || has(spec.known_categorical);
}

void add_columns(const data::SalesTable& table, const data::FeatureSpec& spec, std::int64_t horizon,
                 ForecastRequest& request) {
  const data::WindowAssembler assembler(spec, table.axis, request.statics, request.static_numbers);
  const std::size_t cells = static_cast<std::size_t>(request.block.series * request.block.steps);
  for (const std::string& name : assembler.columns()) {
    const data::FeatureColumn* feature = find_feature(spec, name);
    const data::SalesTable::Column* column = find_column(table, name);
    data::PanelBlock::Column& target = request.block.columns.emplace_back();
    target.rows = request.block.series;
    if (column != nullptr) {
      target.values = in_model_terms(table, *column, feature, request);
      note_not_positive(feature, target.values, request);
      if (is_known_ahead(spec, name)) note_future(table, *column, target.values, horizon, request);
      continue;
    }
    const bool categorical = feature != nullptr && feature->kind == data::Kind::categorical;
    target.values.assign(cells, categorical ? -1.0F : kMissing);
    if (name == spec.censored)
      request.no_censored = name;
    else
      request.missing_columns.push_back(name);
  }
}

// The first text of a series, "" = it has none.
std::string first_text(const data::SalesTable& table, const data::SalesTable::Column& column,
                       std::size_t series) {
  const auto steps = static_cast<std::size_t>(table.steps);
  const auto row = std::span(column.codes).subspan(series * steps, steps);
  const auto found = std::ranges::find_if(row, [](std::int32_t code) { return code >= 0; });
  return found == row.end() ? "" : column.vocabulary[static_cast<std::size_t>(*found)];
}

// The value of a static for each series of the table, "" = not known.
std::vector<std::string> static_texts(const data::SalesTable& table, const std::string& name,
                                      const data::Corpus* corpus) {
  std::vector<std::string> texts(table.series.size());
  if (const data::SalesTable::Column* column = find_column(table, name)) {
    for (std::size_t series = 0; series < texts.size(); ++series)
      texts[series] = first_text(table, *column, series);
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
    const std::vector<float> numbers = numbers_of(table, *column);
    const auto steps = static_cast<std::size_t>(table.steps);
    for (std::size_t series = 0; series < values.size(); ++series)
      for (std::size_t step = 0; step < steps && std::isnan(values[series]); ++step)
        values[series] = numbers[series * steps + step];
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
    auto codes = index_of(column.vocabulary);
    if (const data::SalesTable::Column* given = find_column(table, column.name)) {
      const std::vector<std::int32_t> as_written = model_codes(*given, column.vocabulary);
      for (std::size_t i = 0; i < as_written.size(); ++i)
        if (as_written[i] >= 0) codes.emplace(given->vocabulary[i], as_written[i]);
    }
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

// Columns that nothing reads and whose name is near to one that the table lacks.
void find_misspelt(const data::SalesTable& table, const data::FeatureSpec& spec, ForecastRequest& request) {
  std::vector<std::string> wanted = request.missing_columns, known;
  if (!spec.censored.empty() && find_column(table, spec.censored) == nullptr) wanted.push_back(spec.censored);
  for (const data::StaticColumn& column : spec.statics) known.push_back(column.name);
  for (const data::NumericStatic& fact : spec.static_numbers) known.push_back(fact.name);
  for (const std::string& name : known)
    if (find_column(table, name) == nullptr) wanted.push_back(name);
  known.insert(known.end(), {"text", spec.censored, spec.inventory});
  for (const data::SalesTable::Column& column : table.covariates) {
    if (find_feature(spec, column.name) != nullptr || std::ranges::find(known, column.name) != known.end())
      continue;
    if (const std::string meant = nearest_name(column.name, wanted); !meant.empty())
      request.misspelt.emplace_back(column.name, meant);
  }
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
                             std::int64_t horizon, const data::Corpus* corpus) {
  ForecastRequest request;
  request.block.series = static_cast<std::int64_t>(table.series.size());
  request.block.steps = table.steps;
  request.block.demand = table.demand;
  add_statics(table, spec, corpus, request);
  add_columns(table, spec, horizon, request);
  find_misspelt(table, spec, request);
  note_unobserved(table, spec.context, request);
  return request;
}

SeriesTexts table_texts(const data::SalesTable& table, const TrainedRun& run, const data::Corpus* corpus) {
  if (run.features.text.width == 0) return {};
  std::vector<std::string> texts(table.series.size());
  if (const data::SalesTable::Column* column = find_column(table, "text"))
    for (std::size_t series = 0; series < texts.size(); ++series)
      texts[series] = first_text(table, *column, series);
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
