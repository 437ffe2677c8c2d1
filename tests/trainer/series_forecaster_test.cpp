// Published models that read covariates, fed from a corpus.
#include "trainer/series_forecaster.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "data/loader.h"
#include "models/series/chronos2_files.h"
#include "models/series/chronos2_forecast.h"
#include "models/series/quantile_levels.h"
#include "tests/data/small_corpus.h"
#include "tests/support/paths.h"

namespace shelfcast::trainer {
namespace {

using data::testing::expect_error;
using data::testing::kNaN;

constexpr std::int64_t kSteps = 60, kHorizon = 9;

class PublishedWithCovariates : public ::testing::Test {
 protected:
  PublishedWithCovariates() {
    data::testing::make_small(corpus());
    model_ = models::open_series_model(shelfcast::testing::golden_dir() / "chronos2/published");
  }
  std::filesystem::path corpus() const { return folder_.path() / "small.corpus"; }
  data::FeatureSpec features(std::vector<std::string> known, std::vector<std::string> past) const {
    data::DataConfig config;
    config.known = std::move(known);
    config.past = std::move(past);
    config.horizon = kHorizon;
    return series_features(*model_, data::make_raw_features(config, data::Corpus(corpus())), kSteps);
  }
  eval::ForecastValues forecast(const data::FeatureSpec& spec, const std::vector<data::Window>& windows,
                                const std::vector<double>& levels = {0.1, 0.5, 0.9}) const {
    data::EvaluationReader reader(corpus(), spec, windows, std::ssize(windows));
    data::Batch batch;
    reader.read(0, batch);
    SeriesForecaster forecaster("published", *model_, spec, levels);
    eval::ForecastValues values;
    forecaster.forecast(batch, values);
    return values;
  }

  data::testing::TemporaryFolder folder_;
  std::unique_ptr<models::SeriesModel> model_;
};

// The task of one window, from what the corpus' cells hold by definition.
models::ForecastTask task_of(const data::Window& window) {
  const std::vector<std::string> events = {"Ostern", "中秋节", "Christmas"};
  models::ForecastTask task;
  task.targets.resize(1);
  models::Covariate price{"price", {}, {}}, event{"event", {}, {}}, snap{"snap", {}, {}},
      stock{"stock", {}, {}};
  for (std::int64_t t = window.origin - kSteps; t < window.origin + kHorizon; ++t) {
    const bool there = t >= 0, ahead = t >= window.origin;
    if (!ahead) {
      task.targets[0].push_back(there ? data::testing::demand_at(window.series, t) : kNaN);
      stock.past.numbers.push_back(there ? data::testing::stock_at(window.series, t) : kNaN);
    }
    models::CovariateValues &p = ahead ? price.future : price.past, &e = ahead ? event.future : event.past,
                            &s = ahead ? snap.future : snap.past;
    p.numbers.push_back(there ? data::testing::price_at(window.series, t) : kNaN);
    s.numbers.push_back(there ? data::testing::snap_at(window.series % 4 / 2, t) : kNaN);
    const float code = there ? data::testing::event_at(t) : -1.0F;
    e.names.push_back(code < 0 ? std::nullopt : std::optional(events[static_cast<std::size_t>(code)]));
  }
  task.past_covariates = {stock};
  task.known_covariates = {price, snap, event};
  return task;
}

TEST_F(PublishedWithCovariates, forecasts_from_a_corpus_are_those_of_tasks_made_by_hand) {
  const std::vector<data::Window> windows = {{1, 40}, {1, 51}, {4, 20}, {6, 51}};
  const eval::ForecastValues values = forecast(features({"price", "event", "snap"}, {"stock"}), windows);
  const models::Chronos2Model model =
      models::load_chronos2(shelfcast::testing::golden_dir() / "chronos2/published");
  for (std::size_t i = 0; i < windows.size(); ++i) {
    const std::vector<double>& trained = model_->levels();
    const at::Tensor published =
        models::forecast(model.tower, {task_of(windows[i])}, kHorizon, trained).front()[0];
    const auto asked = models::rows_of_levels({0.1, 0.5, 0.9}, trained);
    const at::Tensor expected =
        std::get<0>(published.clamp_min(0.0).sort(0)).index_select(0, at::tensor(asked, at::kLong));
    const float scale = expected.abs().max().item<float>();
    for (std::int64_t q = 0; q < 3; ++q)
      for (std::int64_t h = 0; h < kHorizon; ++h)
        EXPECT_NEAR(values.quantiles_bqh[i * 3 * kHorizon + static_cast<std::size_t>(q * kHorizon + h)],
                    expected[q][h].item<float>(), 1e-5 * scale)
            << "window " << i << " level " << q << " step " << h;
  }
}

TEST_F(PublishedWithCovariates, a_level_is_the_same_whichever_others_are_asked_for) {
  for (const char* folder : {"chronos2/published", "bolt/wide_heads"}) {
    model_ = models::open_series_model(shelfcast::testing::golden_dir() / folder);
    const data::FeatureSpec spec = features({}, {});
    const std::vector<data::Window> windows = {{1, 40}, {4, 20}, {6, 51}};
    const std::vector<double> many = {0.1, 0.17, 0.3, 0.5, 0.61, 0.8, 0.9};
    const eval::ForecastValues all = forecast(spec, windows, many);
    const auto step = [&](const eval::ForecastValues& values, std::size_t window, std::size_t level,
                          std::size_t at) {
      return values.quantiles_bqh[(window * values.levels.size() + level) * kHorizon + at];
    };
    const std::vector<std::vector<double>> few = {{0.1}, {0.17}, {0.1, 0.9}, {0.3, 0.5}, {0.5, 0.61, 0.8}};
    for (const std::vector<double>& asked : few) {
      const eval::ForecastValues some = forecast(spec, windows, asked);
      EXPECT_EQ(some.median_bh, all.median_bh);
      for (std::size_t window = 0; window < windows.size(); ++window)
        for (std::size_t h = 0; h < kHorizon; ++h)
          for (std::size_t q = 0; q < asked.size(); ++q) {
            const auto same = static_cast<std::size_t>(std::ranges::find(many, asked[q]) - many.begin());
            EXPECT_EQ(step(some, window, q, h), step(all, window, same, h)) << folder << " " << asked[q];
          }
    }
    for (std::size_t window = 0; window < windows.size(); ++window)
      for (std::size_t h = 0; h < kHorizon; ++h)
        EXPECT_EQ(step(all, window, 3, h), all.median_bh[window * kHorizon + h]) << folder;
    EXPECT_EQ(all.mean_bh, all.median_bh);
  }
}

// Stock is no such column: it is a ramp as demand is, so in its own scale the same series.
TEST_F(PublishedWithCovariates, every_column_has_an_effect) {
  const std::vector<data::Window> windows = {{1, 40}};
  const auto alone = forecast(features({}, {}), windows).quantiles_bqh;
  for (const auto& [known, past] : std::vector<std::pair<std::vector<std::string>, std::vector<std::string>>>{
           {{"price"}, {}}, {{"event"}, {}}, {{"snap"}, {}}, {{}, {"price"}}})
    EXPECT_NE(forecast(features(known, past), windows).quantiles_bqh, alone)
        << (known.empty() ? past : known).front();
}

TEST_F(PublishedWithCovariates, what_happens_after_the_origin_changes_nothing_but_through_known_columns) {
  const data::FeatureSpec spec = features({"event"}, {"stock"});
  const std::vector<data::Window> windows = {{1, 40}, {2, 40}};
  const auto before = forecast(spec, windows).quantiles_bqh;
  std::filesystem::remove_all(corpus());
  data::testing::make_small(corpus(), {.poison = 1e6F, .poison_from = 40});  // demand and stock, not events
  EXPECT_EQ(forecast(spec, windows).quantiles_bqh, before);
}

TEST_F(PublishedWithCovariates, columns_that_cannot_be_read_are_refused) {
  expect_error(ErrorKind::input, {"data.known", "prise", "price"}, [&] { features({"prise"}, {}); });
  expect_error(ErrorKind::input, {"stock", "leak"}, [&] { features({"stock"}, {}); });
  model_ = models::open_series_model(shelfcast::testing::golden_dir() / "bolt/wide_heads");
  expect_error(ErrorKind::input, {"chronos-bolt reads no covariates"}, [&] { features({"price"}, {}); });
  expect_error(ErrorKind::input, {"chronos-bolt reads no covariates"}, [&] {
    static_cast<void>(model_->forecast_tasks({task_of({1, 40})}, kHorizon, {0.5}));
  });
}

}  // namespace
}  // namespace shelfcast::trainer
