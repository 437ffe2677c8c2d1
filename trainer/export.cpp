#include "trainer/export.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "data/loader.h"
#include "parallel/communicator.h"
#include "scorer/bundle_writer.h"
#include "trainer/command_line.h"
#include "trainer/demand_dependence.h"
#include "trainer/environment.h"
#include "trainer/model_forecaster.h"
#include "trainer/run/checkpoint.h"
#include "trainer/text/text_encoder.h"

namespace shelfcast::trainer {
namespace {

constexpr std::int64_t kGoldenCases = 8, kGoldenTexts = 4;

// The arrays of all series' last windows, batch after batch.
struct LastContexts {
  std::vector<float> context_bt, past_bnt, known_bnu, static_numbers_bn;
  std::vector<std::int32_t> past_codes_bct, known_codes_bcu, statics_bs;
};

template <typename T>
void append(std::vector<T>& all, const std::vector<T>& batch, std::int64_t rows, std::int64_t of) {
  const std::size_t each = batch.size() / static_cast<std::size_t>(of);
  all.insert(all.end(), batch.begin(),
             batch.begin() + static_cast<std::ptrdiff_t>(each * static_cast<std::size_t>(rows)));
}

// Windows of this batch that are not padding; padding rows stand at the end.
std::int64_t real_rows(const data::Batch& batch) {
  return std::count_if(batch.window_b.begin(), batch.window_b.end(),
                       [](const data::Window& w) { return w.series >= 0; });
}

LastContexts read_last_contexts(const TrainedRun& run, const data::CorpusInfo& info) {
  std::vector<data::Window> windows;
  for (std::int64_t series = 0; series < info.series; ++series) windows.push_back({series, info.demand_end});
  data::EvaluationReader reader(run.recipe.data.source(), run.features, windows, run.recipe.backtest.batch);
  LastContexts all;
  data::Batch batch;
  for (std::int64_t k = 0; k < reader.batches(); ++k) {
    reader.read(k, batch);
    const std::int64_t rows = real_rows(batch), of = batch.windows;
    append(all.context_bt, batch.context_bt, rows, of);
    append(all.past_bnt, batch.past_bnt, rows, of);
    append(all.known_bnu, batch.known_bnu, rows, of);
    append(all.past_codes_bct, batch.past_codes_bct, rows, of);
    append(all.known_codes_bcu, batch.known_codes_bcu, rows, of);
    append(all.statics_bs, batch.statics_bs, rows, of);
    append(all.static_numbers_bn, batch.static_numbers_bn, rows, of);
  }
  return all;
}

// Notes the cells of the steps to forecast in which `columns` are missing; `values` [series, columns, context
// then horizon].
template <typename T, typename Missing>
void add_gaps(const std::vector<data::FeatureColumn>& columns, const std::vector<T>& values,
              const data::FeatureSpec& spec, const data::CorpusInfo& info, Missing missing,
              std::vector<scorer::FutureGap>& gaps) {
  const std::int64_t steps = spec.context + spec.horizon, count = std::ssize(columns);
  const std::int64_t begin = std::max<std::int64_t>(0, spec.context - info.demand_end);  // of the corpus
  for (std::int64_t column = 0; column < count; ++column) {
    const auto is_missing = [&](std::int64_t series, std::int64_t step) {
      return missing(values[static_cast<std::size_t>((series * count + column) * steps + step)]);
    };
    // A category that the history lacks, too, may mean "none", as in a calendar of events; where the corpus
    // has ended it says nothing for certain.
    bool none_has_a_meaning = false;
    const data::FeatureColumn& feature = columns[static_cast<std::size_t>(column)];
    for (std::int64_t series = 0; series < info.series && feature.kind == data::Kind::categorical; ++series)
      for (std::int64_t step = begin; step < spec.context && !none_has_a_meaning; ++step)
        none_has_a_meaning = is_missing(series, step);
    scorer::FutureGap gap{feature.name, 0, info.series * spec.horizon};
    for (std::int64_t series = 0; series < info.series; ++series)
      for (std::int64_t h = 0; h < spec.horizon; ++h) {
        const bool ended = info.demand_end + h >= info.steps;
        gap.missing += (ended || !none_has_a_meaning) && is_missing(series, spec.context + h) ? 1 : 0;
      }
    if (gap.missing > 0) gaps.push_back(std::move(gap));
  }
}

std::vector<scorer::FutureGap> future_gaps(const LastContexts& last, const data::FeatureSpec& spec,
                                           const data::CorpusInfo& info) {
  std::vector<scorer::FutureGap> gaps;
  add_gaps(
      spec.known_numeric, last.known_bnu, spec, info, [](float x) { return std::isnan(x); }, gaps);
  add_gaps(
      spec.known_categorical, last.known_codes_bcu, spec, info, [](std::int32_t c) { return c == 0; }, gaps);
  return gaps;
}

void warn_of_gaps(const scorer::BundleContents& contents, const data::FeatureSpec& spec) {
  for (const scorer::FutureGap& gap : contents.future_gaps)
    log::warn(
        "the corpus has no {} in {} of the {} cells to forecast - the model reads them as missing; append "
        "rows of the days to forecast with an empty demand, and export again",
        gap.column, gap.missing, gap.cells);
  if (contents.unobserved_series > 0)
    log::warn(
        "{} of the series have no demand in the {} steps that the model reads - they are forecast and "
        "ordered as series without a history",
        contents.unobserved_series, spec.context);
}

scorer::SeriesNames read_names(const data::Corpus& corpus) {
  scorer::SeriesNames names;
  names.series = corpus.series_names();
  const auto level = [&](const std::string& name, std::vector<std::string>& values) {
    if (name.empty()) return;
    const std::size_t index = corpus.info().static_index(name);
    for (const std::int32_t code : corpus.static_codes(index))
      values.push_back(code < 0 ? ""
                                : corpus.info().statics[index].vocabulary[static_cast<std::size_t>(code)]);
  };
  names.store_level = corpus.info().store_level;
  names.item_level = corpus.info().item_level;
  level(corpus.info().store_level, names.store);
  level(corpus.info().item_level, names.item);
  return names;
}

// Evenly spread series, forecast by LibTorch: what the scorer must reproduce at every load.
scorer::GoldenCases make_golden(const TrainedRun& run, const data::CorpusInfo& info,
                                const SeriesTexts& texts) {
  scorer::GoldenCases golden;
  std::vector<data::Window> windows;
  const std::int64_t cases = std::min(kGoldenCases, info.series);
  for (std::int64_t i = 0; i < cases; ++i) {
    golden.series.push_back(i * info.series / cases);
    windows.push_back({golden.series.back(), info.demand_end});
  }
  data::EvaluationReader reader(run.recipe.data.source(), run.features, windows, cases);
  data::Batch batch;
  reader.read(0, batch);
  ModelForecaster forecaster("golden", *run.model, run.features, texts);
  eval::ForecastValues values;
  forecaster.forecast(batch, values);
  golden.quantiles_gqh = values.quantiles_bqh;
  golden.mean_gh = values.mean_bh;
  return golden;
}

// The text model, and the first texts with the vectors they got.
void add_text_model(const TrainedRun& run, const data::Corpus& corpus, scorer::BundleContents& contents) {
  contents.text = text_model_folder(run.recipe.model.text);
  const ProductTexts all(text_of_series(corpus));
  for (std::int64_t row = 0; row < std::min(kGoldenTexts, std::ssize(all.texts)); ++row) {
    contents.golden_texts.push_back(all.texts[static_cast<std::size_t>(row)]);
    contents.golden_text_rows.push_back(row);
  }
}

}  // namespace

ExportResult export_bundle(const TrainedRun& run, const std::filesystem::path& wanted) {
  const std::filesystem::path out =
      wanted.has_filename() ? wanted : wanted.parent_path();  // "name/" is "name"
  if (std::filesystem::exists(out))
    throw input_error(fmt::format("the bundle {} exists", out.string()), "a bundle is never overwritten",
                      "choose another --out or remove it");
  require_exportable(run.model->config().tower.architecture, run.model->config().model.quantiles,
                     "the run " + run.name());
  if (run.model->adapter() != nullptr)
    throw input_error(
        fmt::format("{} has an adapter that cannot be merged into its tower", run.folder.path().string()),
        fmt::format("tune.method is {}, and the scorer knows no adapters", run.recipe.tune.method),
        "tune with lora, top or all for orders; backtest and forecast work on this run as it is");
  const data::Corpus corpus(run.recipe.data.source());
  const auto alone = parallel::make_single();
  const SeriesTexts texts = read_series_texts(corpus, run.features.text, run.recipe.model, *alone);
  const LastContexts last = read_last_contexts(run, corpus.info());
  ExportResult result{.series = corpus.info().series, .copula_windows = 0};
  scorer::BundleContents contents;
  contents.name = run.name();
  contents.created_by = "shelfcast " + build_id();
  contents.axis = corpus.info().axis;
  contents.first_step = corpus.info().demand_end;
  // The checkpoint of an adapter lacks the tower: the merged model goes into the bundle.
  const AtomicFolder merged(out.string() + ".merged");  // never put in place
  contents.model = Checkpoints(run.folder.checkpoints()).path_of(run.step);
  if (std::filesystem::exists(contents.model / "adapter")) {
    run.model->save(merged.staging());
    contents.model = merged.staging();
  }
  contents.features = data::to_json(run.features).dump(2) + "\n";
  contents.names = read_names(corpus);
  contents.future_gaps = future_gaps(last, run.features, corpus.info());
  for (auto row = last.context_bt.begin(); row != last.context_bt.end(); row += run.features.context)
    if (std::all_of(row, row + run.features.context, [](float y) { return std::isnan(y); }))
      ++contents.unobserved_series;
  warn_of_gaps(contents, run.features);
  contents.context_bt = last.context_bt;
  contents.past_bnt = last.past_bnt;
  contents.known_bnu = last.known_bnu;
  contents.past_codes_bct = last.past_codes_bct;
  contents.known_codes_bcu = last.known_codes_bcu;
  contents.statics_bs = last.statics_bs;
  contents.static_numbers_bn = last.static_numbers_bn;
  const at::Tensor vectors = texts.vectors();
  if (vectors.defined())
    contents.text_kw = {vectors.const_data_ptr<float>(), static_cast<std::size_t>(vectors.numel())};
  const std::vector<std::int32_t> text_rows(texts.row_of_series().begin(), texts.row_of_series().end());
  contents.text_row_b = text_rows;
  if (vectors.defined()) add_text_model(run, corpus, contents);
  contents.demand = kind_of_demand(corpus);
  const DemandDependence dependence = estimate_dependence(run, corpus, texts, contents.demand);
  contents.copula = dependence.parameters;
  result.copula_windows = dependence.windows;
  contents.golden = make_golden(run, corpus.info(), texts);
  scorer::write_bundle(out, contents);
  return result;
}

}  // namespace shelfcast::trainer
