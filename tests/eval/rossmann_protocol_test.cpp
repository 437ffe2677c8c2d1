// The published protocols on Rossmann: our baselines reproduce the published figures.
// Source: autogluon/fev, benchmarks/fev_bench/results (rossmann_1D, rossmann_1W).
#include <gtest/gtest.h>

#include "data/ingest/ingest.h"
#include "eval/backtest.h"
#include "tests/support/paths.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast::eval {
namespace {

BacktestResult run(const std::filesystem::path& shared, std::optional<Frequency> frequency,
                   const BacktestConfig& config) {
  const testing::TemporaryFolder folder;
  data::IngestConfig ingest;
  ingest.format = data::TableFormat::rossmann;
  ingest.from = shared / "data" / "rossmann" / "rossmann.parquet";
  ingest.out = folder.path() / "rossmann.corpus";
  ingest.frequency = frequency;
  data::ingest(ingest);
  const data::Corpus corpus(ingest.out);
  data::DataConfig columns;
  columns.context = corpus.info().demand_end;  // baselines of the protocol see the whole history
  columns.horizon = config.horizon;
  const auto single = parallel::make_single();
  return run_backtest(config, ingest.out, data::make_features(columns, corpus, 20), {}, 20, *single);
}

double score(const BacktestResult& result, const std::string& forecaster, const std::string& metric) {
  for (const ForecasterResult& candidate : result.forecasters)
    if (candidate.name == forecaster) return *candidate.overall.score(metric).value;
  ADD_FAILURE() << "no " << forecaster;
  return 0.0;
}

BacktestConfig protocol(std::int64_t horizon, std::int64_t windows, std::int64_t season) {
  BacktestConfig config;
  config.horizon = config.stride = horizon;
  config.origins = windows;
  config.season = season;
  config.seasonal_gaps = SeasonalGaps::last_value;  // the published Seasonal Naive fills gaps forward
  config.by = {};
  config.bootstrap = 0;
  config.fans = 0;
  return config;
}

TEST(RossmannProtocol, daily_baselines_reproduce_the_published_figures) {
  const auto shared = testing::shared_dir();
  if (!shared) GTEST_SKIP() << "no shared data here";
  const BacktestResult result = run(*shared, std::nullopt, protocol(48, 10, 7));
  EXPECT_EQ(result.corpus.series, 1115);
  EXPECT_EQ(result.corpus.demand_end, 942);
  EXPECT_NEAR(score(result, "Naive", "mase_window_mean"), 1.6195, 0.00005);
  EXPECT_NEAR(score(result, "Seasonal Naive", "mase_window_mean"), 0.78855, 0.000005);
  EXPECT_NEAR(score(result, "Seasonal Naive", "wape_window_mean"), 0.26925, 0.000005);
}

TEST(RossmannProtocol, going_back_whole_seasons_over_the_gap_is_the_stronger_baseline) {
  const auto shared = testing::shared_dir();
  if (!shared) GTEST_SKIP() << "no shared data here";
  BacktestConfig config = protocol(48, 10, 7);
  config.seasonal_gaps = SeasonalGaps::last_season;
  // Worked out apart, with NumPy.
  EXPECT_NEAR(score(run(*shared, std::nullopt, config), "Seasonal Naive", "mase_window_mean"), 0.7747848,
              1e-6);
}

TEST(RossmannProtocol, weekly_baselines_reproduce_the_published_figures) {
  const auto shared = testing::shared_dir();
  if (!shared) GTEST_SKIP() << "no shared data here";
  const BacktestResult result = run(*shared, Frequency::weekly, protocol(13, 8, 1));
  EXPECT_EQ(result.corpus.demand_end, 133);
  EXPECT_NEAR(score(result, "Naive", "mase_window_mean"), 0.79603, 0.000005);
  EXPECT_NEAR(score(result, "Naive", "wape_window_mean"), 0.21924, 0.000005);
}

}  // namespace
}  // namespace shelfcast::eval
