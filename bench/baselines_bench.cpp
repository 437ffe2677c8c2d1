// Series per second of the statistical baselines: every series of a corpus, forecast from its last day.
// bench_baselines CORPUS [THREADS] [SEASON] [EVERY]: each method over every EVERYth batch of 256 series,
// reading included.
#include <fmt/format.h>

#include <cstdlib>

#include "base/clock.h"
#include "base/error.h"
#include "eval/baselines/statistical.h"

namespace {

using namespace shelfcast;

constexpr std::int64_t kHorizon = 28, kBatch = 256;

struct Speed {
  std::int64_t series = 0;
  double seconds = 0.0;
};

Speed measure(const std::string& method, const data::Corpus& corpus, std::int64_t threads,
              std::int64_t season, std::int64_t every) {
  eval::BacktestConfig config;
  config.baselines = {method};
  config.season = season;
  config.validate();
  const auto baseline = std::move(eval::make_baselines(config, corpus.folder(), "", threads).front());
  eval::ForecastValues values;
  Speed speed;
  const Clock::time_point began = Clock::now();
  for (std::int64_t next = 0; next < corpus.info().series;) {
    data::Batch batch;
    for (; next < corpus.info().series && std::ssize(batch.window_b) < kBatch; next += every)
      batch.window_b.push_back({next, corpus.info().demand_end});
    batch.windows = std::ssize(batch.window_b);
    batch.target_bh.resize(static_cast<std::size_t>(batch.windows * kHorizon));
    baseline->forecast(batch, values);
    speed.series += batch.windows;
  }
  speed.seconds = seconds_since(began);
  return speed;
}

void bench(int count, char** words) {
  const auto number = [&](int i, long otherwise) { return count > i ? std::atol(words[i]) : otherwise; };
  if (count < 2)
    throw input_error("no corpus named", "", "bench_baselines CORPUS [THREADS] [SEASON] [EVERY]");
  const data::Corpus corpus{std::filesystem::path(words[1])};
  for (const std::string& method : eval::method_names()) {
    const bool fitted = method == "theta" || method == "ets" || method.starts_with("holt");
    const Speed speed = measure(method, corpus, number(2, 2), number(3, 7), fitted ? number(4, 1) : 1);
    fmt::print("{:<28} {:>8} series {:>9.2f} s {:>12.0f} series/s\n", method, speed.series, speed.seconds,
               static_cast<double>(speed.series) / speed.seconds);
  }
}

}  // namespace

int main(int count, char** words) {
  try {
    bench(count, words);
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_baselines: {}\n", error.what());
    return 1;
  }
}
