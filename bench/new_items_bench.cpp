// How well runs forecast items that were launched after they were trained:
//   bench_new_items RUN...
// For each run, pinball loss (mean over levels, in units of demand) on series whose first sale lies after
// training and validation, by the days since that first sale at which the forecast is made.
#include <fmt/format.h>

#include <cmath>
#include <memory>

#include "data/loader.h"
#include "parallel/communicator.h"
#include "trainer/model_forecaster.h"
#include "trainer/trained_run.h"

namespace shelfcast {
namespace {

constexpr std::array<std::int64_t, 5> kAges = {0, 3, 7, 14, 28};  // days

// Step of each series' first observed demand; -1 = none.
std::vector<std::int64_t> first_steps(const data::Corpus& corpus) {
  std::vector<std::int64_t> first;
  for (std::int64_t series = 0; series < corpus.info().series; ++series) {
    data::PanelBlock block;
    corpus.read(series, 1, 0, corpus.info().demand_end, {}, block);
    std::int64_t step = 0;
    while (step < corpus.info().demand_end && std::isnan(block.demand[static_cast<std::size_t>(step)]))
      ++step;
    first.push_back(step == corpus.info().demand_end ? -1 : step);
  }
  return first;
}

struct Sum {
  double loss = 0, steps = 0;
};

Sum pinball(const data::Batch& batch, const eval::ForecastValues& values, std::int64_t horizon) {
  Sum sum;
  const auto levels = static_cast<std::int64_t>(values.levels.size());
  for (std::int64_t b = 0; b < batch.windows; ++b)
    for (std::int64_t h = 0; h < horizon; ++h) {
      const float y = batch.target_bh[static_cast<std::size_t>(b * horizon + h)];
      if (std::isnan(y) || batch.weight_b[static_cast<std::size_t>(b)] == 0) continue;
      for (std::int64_t q = 0; q < levels; ++q) {
        const double level = values.levels[static_cast<std::size_t>(q)],
                     error =
                         y - values.quantiles_bqh[static_cast<std::size_t>((b * levels + q) * horizon + h)];
        sum.loss += std::max(level * error, (level - 1) * error) / static_cast<double>(levels);
      }
      ++sum.steps;
    }
  return sum;
}

void judge(const std::string& folder) {
  const trainer::TrainedRun run = trainer::open_run(folder);
  const data::Corpus corpus(run.recipe.data.corpus);
  const auto alone = parallel::make_single();
  trainer::ModelForecaster forecaster(
      run.name(), *run.model, run.features,
      trainer::read_series_texts(corpus, run.features.text, run.recipe.model, *alone));
  const std::int64_t unseen = corpus.info().axis.step_at_or_before(*run.recipe.data.validate_until);
  const std::vector<std::int64_t> first = first_steps(corpus);
  fmt::print("{:<24}", run.name());
  Sum all;
  for (const std::int64_t age : kAges) {
    std::vector<data::Window> windows;
    for (std::size_t s = 0; s < first.size(); ++s)
      if (first[s] >= unseen && first[s] + age + run.features.horizon <= corpus.info().demand_end)
        windows.push_back({static_cast<std::int64_t>(s), first[s] + age});
    data::EvaluationReader reader(run.recipe.data.corpus, run.features, windows, 64);
    Sum of_age;
    data::Batch batch;
    eval::ForecastValues values;
    for (std::int64_t k = 0; k < reader.batches(); ++k) {
      reader.read(k, batch);
      forecaster.forecast(batch, values);
      const Sum sum = pinball(batch, values, run.features.horizon);
      of_age.loss += sum.loss, of_age.steps += sum.steps;
    }
    all.loss += of_age.loss, all.steps += of_age.steps;
    fmt::print("  {:>3} d {:.4f}", age, of_age.loss / of_age.steps);
  }
  fmt::print("  all {:.4f}  n {}\n", all.loss / all.steps, all.steps);
}

}  // namespace
}  // namespace shelfcast

int main(int argc, char** argv) {
  try {
    for (int i = 1; i < argc; ++i) shelfcast::judge(argv[i]);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
