// Series per second of the scorer's forward and of LibTorch's, same weights and inputs, one thread each,
// taking turns. bench_scorer [SECONDS per measurement]
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

void compare(const models::DemandModel& torch_model, const scorer::DemandModel& own,
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
  std::vector<double> torch_rates, own_rates, ratios;
  for (int turn = 0; turn < 7; ++turn) {
    torch_rates.push_back(rate(batch, seconds, run_torch));
    own_rates.push_back(rate(batch, seconds, run_own));
    ratios.push_back(own_rates.back() / torch_rates.back());
  }
  fmt::print(
      "{:9} batch {:2}: scorer {:6.1f} series/s, LibTorch {:6.1f}, ratio {:.2f}; furthest {:.1e} of the "
      "scale\n",
      to_string(scorer::best_isa()), batch, median(own_rates), median(torch_rates), median(ratios), worst);
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 1.0;
  at::set_num_threads(1);
  const at::NoGradGuard no_gradients;
  models::DemandModelConfig config;
  config.tower = models::named_tower("bolt-tiny");
  config.context = kContext;
  config.horizon = kHorizon;
  const models::DemandModel torch_model(config, 1);
  const auto folder = std::filesystem::temp_directory_path() / fmt::format("shelfcast-bench-{}", ::getpid());
  torch_model.save(folder);
  const scorer::DemandModel own(folder, scorer::ops_for(scorer::best_isa()));
  std::filesystem::remove_all(folder);
  RandomStream random(1);
  std::vector<float> context(kSeries * kContext);
  for (float& value : context) value = static_cast<float>(random.poisson(6.0));
  for (const std::int64_t batch : {1, 32}) compare(torch_model, own, context, batch, seconds);
}
