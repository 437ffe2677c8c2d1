// Series per second of the scorer's forward and of LibTorch's, same weights and inputs, taking turns: a
// demand model with a bolt-tiny tower on one thread, and the published 28 M Chronos-2 size. bench_scorer
// [SECONDS per measurement [THREADS of Chronos-2]]
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/types.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <numeric>

#include "base/random.h"
#include "bench/measure.h"
#include "models/demand_model.h"
#include "models/series/chronos2_files.h"
#include "scorer/forward/chronos2_forecast.h"
#include "scorer/forward/demand_model.h"

namespace {

using namespace shelfcast;
using namespace shelfcast::bench;
constexpr std::int64_t kContext = 512, kHorizon = 64, kSeries = 32;

// Repeats `work` for about `seconds`; series per second.
template <typename Work>
double rate(std::int64_t series, double seconds, const Work& work) {
  std::int64_t done = 0;
  const auto began = Clock::now();
  double passed = 0.0;
  do {
    work();
    done += series;
    passed = seconds_since(began);
  } while (passed < seconds);
  return static_cast<double>(done) / passed;
}

std::filesystem::path scratch_folder() {
  return std::filesystem::temp_directory_path() / fmt::format("shelfcast-bench-{}", ::getpid());
}

// The two in turns, seven times.
template <typename Own, typename Torch>
void compare(const std::string& what, std::int64_t batch, double seconds, const Own& own, const Torch& torch,
             double worst) {
  std::vector<double> torch_rates, own_rates, ratios;
  for (int turn = 0; turn < 7; ++turn) {
    torch_rates.push_back(rate(batch, seconds, torch));
    own_rates.push_back(rate(batch, seconds, own));
    ratios.push_back(own_rates.back() / torch_rates.back());
  }
  fmt::print("{} {}: scorer {:.1f} series/s, LibTorch {:.1f}, ratio {:.2f}; furthest {:.1e} of the scale\n",
             to_string(scorer::best_isa()), what, median(own_rates), median(torch_rates), median(ratios),
             worst);
}

void compare_bolt(const models::DemandModel& torch_model, const scorer::DemandModel& own,
                  std::vector<float>& context, std::int64_t batch, double seconds) {
  models::ModelInputs torch_inputs;
  torch_inputs.context_bt = at::from_blob(context.data(), {batch, kContext});
  scorer::ModelInputs inputs;
  inputs.series = kSeries;
  inputs.context = {context.data(), kContext};
  std::vector<std::int64_t> series(static_cast<std::size_t>(batch));
  std::iota(series.begin(), series.end(), 0);
  const std::size_t levels = own.config().quantiles.size();
  std::vector<float> quantiles(batch * levels * kHorizon), mean(batch * kHorizon), scale(batch);
  scorer::ForwardScratch scratch;
  at::Tensor expected;
  const auto run_torch = [&] {
    expected = torch_model.forward(torch_inputs, nullptr).demand_quantiles_bqh(0.0);
  };
  const auto run_own = [&] {
    own.forecast(inputs, series, scratch, {quantiles.data(), mean.data(), scale.data()});
  };
  run_torch(), run_own();
  double worst = 0.0;
  const at::Tensor flat = expected.contiguous();
  for (std::size_t i = 0; i < quantiles.size(); ++i)
    worst = std::max(worst, std::abs(static_cast<double>(quantiles[i]) - flat.data_ptr<float>()[i]) /
                                scale[i / (levels * kHorizon)]);
  compare(fmt::format("bolt-tiny, batch {}", batch), batch, seconds, run_own, run_torch, worst);
}

// The published model: series by themselves, or each with a past and a known covariate.
void compare_chronos2(const models::Chronos2Model& torch_model, const scorer::Chronos2& own,
                      std::vector<float>& context, std::int64_t batch, std::int64_t group, double seconds,
                      int threads) {
  models::Chronos2Inputs inputs;
  inputs.context_bt = at::from_blob(context.data(), {batch, kContext});
  inputs.patches = kHorizon / own.config().patch;
  std::vector<std::int64_t> groups(static_cast<std::size_t>(batch));
  for (std::int64_t b = 0; b < batch; ++b) groups[static_cast<std::size_t>(b)] = b / group;
  inputs.group_ids_b = at::tensor(groups, at::kLong);
  const scorer::Chronos2Series series{batch, kContext, 0, context.data(), nullptr, groups};
  scorer::Chronos2Options options;
  options.horizon = kHorizon;
  options.threads = threads;
  at::Tensor expected;
  std::vector<float> quantiles;
  const auto run_torch = [&] {
    expected = torch_model.tower.forward(inputs, nullptr).demand_quantiles_bqh();
  };
  const auto run_own = [&] { quantiles = scorer::forecast(own, series, options); };
  run_torch(), run_own();
  const at::Tensor flat = expected.contiguous();
  double worst = 0.0;
  for (std::size_t i = 0; i < quantiles.size(); ++i)
    worst = std::max(worst, std::abs(static_cast<double>(quantiles[i]) - flat.data_ptr<float>()[i]));
  compare(fmt::format("chronos-2-small, batch {}, groups of {}, {} threads", batch, group, threads), batch,
          seconds, run_own, run_torch, worst / std::sqrt(6.0));
}

void bench_bolt(std::vector<float>& context, double seconds) {
  at::set_num_threads(1);
  models::DemandModelConfig config;
  config.tower = models::named_tower("bolt-tiny");
  config.context = kContext;
  config.horizon = kHorizon;
  const models::DemandModel torch_model(config, 1);
  const auto folder = scratch_folder();
  torch_model.save(folder);
  const scorer::DemandModel own(folder, scorer::ops_for(scorer::best_isa()));
  std::filesystem::remove_all(folder);
  for (const std::int64_t batch : {1, 32}) compare_bolt(torch_model, own, context, batch, seconds);
}

void bench_chronos2(std::vector<float>& context, double seconds, int threads) {
  at::set_num_threads(threads);
  const models::Chronos2Config config = models::named_chronos2("chronos-2-small");
  const models::Chronos2Model torch_model = models::make_chronos2(config, 1);
  const auto folder = scratch_folder();
  models::save_chronos2(folder, config, torch_model.parameters);
  const scorer::Chronos2 own(folder, scorer::ops_for(scorer::best_isa()));
  std::filesystem::remove_all(folder);
  compare_chronos2(torch_model, own, context, kSeries, 1, seconds, threads);
  compare_chronos2(torch_model, own, context, kSeries, 4, seconds, threads);
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 1.0;
  const int threads = argc > 2 ? std::atoi(argv[2]) : 1;
  const at::NoGradGuard no_gradients;
  RandomStream random(1);
  std::vector<float> context(kSeries * kContext);
  for (float& value : context) value = static_cast<float>(random.poisson(6.0));
  bench_bolt(context, seconds);
  bench_chronos2(context, seconds, threads);
}
