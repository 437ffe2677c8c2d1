// What judging and reporting cost when forecasts are there.
// bench_report metrics CORPUS [RANKS]: all measures and groupings of nine given quantiles from ten origins.
// bench_report runs FOLDER [RUNS] [SERIES]: makes run folders with a backtest each, for `shelfcast report`.
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <fstream>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/random.h"
#include "data/corpus_writer.h"
#include "eval/backtest.h"
#include "parallel/launch.h"

namespace {

using namespace shelfcast;

constexpr std::int64_t kHorizon = 28;

// Forecasts that cost nothing: a ramp of quantiles, shifted a little for each model.
class Given final : public eval::Forecaster {
 public:
  Given(std::string name, float shift) : name_(std::move(name)), shift_(shift) {}
  const std::string& name() const override { return name_; }
  void forecast(const data::Batch& batch, eval::ForecastValues& values) override {
    const auto steps = static_cast<std::size_t>(batch.windows * kHorizon);
    values.levels = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9};
    values.mean_bh.assign(steps, 1.2F + shift_);
    values.median_bh.assign(steps, 1.0F + shift_);
    values.quantiles_bqh.resize(9 * steps);
    for (std::size_t i = 0; i < values.quantiles_bqh.size(); ++i)
      values.quantiles_bqh[i] = shift_ + 0.2F * static_cast<float>(i / kHorizon % 9);
  }

 private:
  std::string name_;
  float shift_;
};

eval::BacktestConfig config_of(std::int64_t origins, std::vector<std::string> baselines) {
  eval::BacktestConfig config;
  config.origins = origins;
  config.stride = config.horizon = kHorizon;
  config.baselines = std::move(baselines);
  config.by = {"category", "store", "horizon", "demand_class", "volume", "age", "price"};
  config.price = "price";
  config.fans = 8;
  return config;
}

data::FeatureSpec spec_of(const std::filesystem::path& corpus) {
  data::DataConfig inputs;
  inputs.context = 8;
  inputs.horizon = kHorizon;
  return data::make_features(inputs, data::Corpus(corpus), 1);
}

void judge(const std::filesystem::path& corpus, int ranks) {
  eval::BacktestConfig config = config_of(10, {});
  config.by.insert(config.by.end(), {"state", "dept", "item"});
  config.hierarchy = {"m5"};
  config.fans = 0;
  const data::FeatureSpec spec = spec_of(corpus);
  const Clock::time_point began = Clock::now();
  parallel::run_ranks_as_threads(ranks, [&](parallel::Communicator& communicator) {
    Given model("given", 0.0F);
    const eval::BacktestResult result = eval::run_backtest(config, corpus, spec, {&model}, 1, communicator);
    if (communicator.rank() == 0)
      fmt::print("{} targets, MAE {:.4f}, WRMSSE {:.4f}\n", result.judgement.targets,
                 *result.forecasters[0].overall.score("mae").value,
                 *result.forecasters[0].overall.score("wrmsse").value);
  });
  fmt::print("{:.2f} s, peak memory {:.0f} MB\n", seconds_since(began),
             static_cast<double>(memory_use().peak_bytes) / 1e6);
}

void make_corpus(const std::filesystem::path& folder, std::int64_t series) {
  constexpr std::int64_t kSteps = 140;
  data::CorpusInfo info;
  info.name = "bench";
  info.axis.start = *parse_date("2024-01-01");
  info.steps = info.demand_end = kSteps;
  info.series = series;
  info.covariates = {{"price", data::Role::known, data::Kind::numeric, "series", {}}};
  info.statics = {{"store", data::Kind::categorical, {}}, {"category", data::Kind::categorical, {}}};
  info.store_level = "store";
  info.category_level = "category";
  data::SeriesTable table;
  table.codes.resize(2);
  table.values.resize(2);
  for (int i = 0; i < 10; ++i)
    for (data::StaticInfo& fact : info.statics) fact.vocabulary.push_back(fmt::format("{}-{}", fact.name, i));
  RandomStream random(key_of("bench"));
  std::vector<float> demand;
  std::vector<std::vector<float>> price(1);
  for (std::int64_t s = 0; s < series; ++s) {
    table.names.push_back(fmt::format("item-{:06d}/store-{}", s / 10, s % 10));
    table.codes[0].push_back(static_cast<std::int32_t>(s % 10));
    table.codes[1].push_back(static_cast<std::int32_t>(s / 10 % 10));
    for (std::int64_t t = 0; t < kSteps; ++t) demand.push_back(static_cast<float>(random.below(4)));
  }
  price[0].assign(demand.size(), 2.0F);
  data::CorpusWriter writer(folder, info, table, {});
  writer.append(series, demand, price);
  writer.finish();
}

void make_runs(const std::filesystem::path& folder, int runs, std::int64_t series) {
  const std::filesystem::path corpus = folder / "bench.corpus";
  make_corpus(corpus, series);
  const auto single = parallel::make_single();
  for (int run = 0; run < runs; ++run) {
    const std::string name = fmt::format("run-{:02d}", run);
    Given model(name, 0.01F * static_cast<float>(run));
    const eval::BacktestResult result = eval::run_backtest(
        config_of(3, {"seasonal_naive", "moving_average", "naive", "sba", "croston", "tsb"}), corpus,
        spec_of(corpus), {&model}, 1, *single);
    eval::RunMetadata metadata;
    metadata.title = name;
    eval::write_backtest(result, folder / name, metadata);
    std::ofstream log(folder / name / "metrics.jsonl");
    for (int step = 10; step <= 2000; step += 10)
      log << fmt::format(R"({{"step":{},"loss":{},"windows_per_second":900.0,"time":{}}})", step,
                         1.0 / std::sqrt(step) + 0.01 * run, step)
          << '\n';
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const auto number = [&](int i, long otherwise) { return argc > i ? std::atol(argv[i]) : otherwise; };
    const std::string what = argc > 2 ? argv[1] : "";
    if (what == "metrics")
      judge(argv[2], static_cast<int>(number(3, 2)));
    else if (what == "runs")
      make_runs(argv[2], static_cast<int>(number(3, 20)), number(4, 30490));
    else
      throw input_error("nothing to do", "",
                        "bench_report metrics CORPUS [RANKS] | runs FOLDER [RUNS] [SERIES]");
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
