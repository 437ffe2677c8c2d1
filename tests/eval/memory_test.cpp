// How much memory a backtest takes as the panel grows. Each backtest runs in a process of its own, whose peak
// nobody else has touched.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>

#include "base/memory.h"
#include "eval/backtest.h"
#include "tests/eval/small_panel.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast::eval {
namespace {

constexpr std::int64_t kSteps = 1500, kCovariates = 7;
constexpr std::int64_t kSeriesBytes = kSteps * (1 + kCovariates) * static_cast<std::int64_t>(sizeof(float));

void write_long_panel(const std::filesystem::path& folder, std::int64_t series) {
  data::CorpusInfo info;
  info.name = "long";
  info.axis.start = *parse_date("2020-01-01");
  info.steps = info.demand_end = kSteps;
  info.series = series;
  for (std::int64_t c = 0; c < kCovariates; ++c)
    info.covariates.push_back(
        {"known-" + std::to_string(c), data::Role::known, data::Kind::numeric, "series", {}});
  data::SeriesTable table;
  for (std::int64_t s = 0; s < series; ++s) table.names.push_back("series-" + std::to_string(s));
  data::LayoutOptions layout;
  layout.segment_series = 256;
  data::CorpusWriter writer(folder, info, table, layout);
  std::vector<float> demand(kSteps);
  for (std::int64_t s = 0; s < series; ++s) {
    for (std::int64_t t = 0; t < kSteps; ++t)
      demand[static_cast<std::size_t>(t)] = static_cast<float>((t % 7) * (1 + s % 5) + (t * 13 + s * 7) % 11);
    writer.append(1, demand, std::vector<std::vector<float>>(kCovariates, demand));
  }
  writer.finish();
}

// Calls `work` in a process of its own and returns by how many bytes its peak lies above what it began with.
std::int64_t growth_of(const std::function<void()>& work) {
  int pipes[2];
  if (::pipe(pipes) != 0) return -1;
  const pid_t child = ::fork();
  if (child == 0) {
    const std::int64_t before = memory_use().resident_bytes;
    work();
    const std::int64_t growth = memory_use().peak_bytes - before;
    const bool told = ::write(pipes[1], &growth, sizeof growth) == sizeof growth;
    ::_exit(told ? 0 : 1);
  }
  std::int64_t growth = -1;
  ::close(pipes[1]);
  if (child < 0 || ::read(pipes[0], &growth, sizeof growth) != sizeof growth) growth = -1;
  ::close(pipes[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  return growth;
}

void judge_long_panel(const std::filesystem::path& folder) {
  BacktestConfig config;
  config.origins = 2;
  config.by = {"horizon"};
  config.baselines = {"naive", "seasonal_naive", "moving_average"};
  config.threads = 1;
  config.bootstrap = 50;
  data::DataConfig seen;
  seen.context = 56;
  seen.horizon = 28;
  for (std::int64_t c = 0; c < kCovariates; ++c) seen.known.push_back("known-" + std::to_string(c));
  SeasonalQuantiles model(7, 8);
  const auto single = parallel::make_single();
  run_backtest(config, folder, data::make_raw_features(seen, data::Corpus(folder)), {&model}, 1400, *single);
}

TEST(BacktestMemory, does_not_grow_with_the_panel_but_with_what_is_said_of_each_series) {
  constexpr std::int64_t kFew = 500, kMany = 4000;
  const testing::TemporaryFolder folder;
  for (const std::int64_t series : {kFew, kMany})
    ASSERT_GE(growth_of([&] { write_long_panel(folder / std::to_string(series), series); }), 0);
  const std::int64_t few = growth_of([&] { judge_long_panel(folder / std::to_string(kFew)); }),
                     many = growth_of([&] { judge_long_panel(folder / std::to_string(kMany)); });
  ASSERT_GT(few, 0);
  ASSERT_GT(many, 0);
  const std::int64_t each = (many - few) / (kMany - kFew);
  RecordProperty("bytes_per_series", std::to_string(each));
  std::printf(
      "%lld bytes at most for %lld series, %lld for %lld: %lld a series, of which the panel has %lld\n",
      static_cast<long long>(few), static_cast<long long>(kFew), static_cast<long long>(many),
      static_cast<long long>(kMany), static_cast<long long>(each), static_cast<long long>(kSeriesBytes));
  // A panel that is held whole, or twice, would be beyond this many times.
  EXPECT_LT(each, kSeriesBytes / 4);
}

}  // namespace
}  // namespace shelfcast::eval
