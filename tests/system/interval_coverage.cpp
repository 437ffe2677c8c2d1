// Do the intervals of summed demand hold what they promise? Compares the bundle's distributions of demand
// over the next 1, 7 and 21 days with the uncensored truth of a synthetic corpus, and fails when a central
// 50, 80 or 95 % interval covers more than five points too few or too many. Demand is counts, so places
// within jumps are drawn (randomised PIT): otherwise an interval that must contain 0 would cover too much by
// its nature.
//
//   interval_coverage CORPUS BUNDLE
#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <numeric>

#include "base/random.h"
#include "data/corpus.h"
#include "scorer/bundle.h"
#include "scorer/orders/lead_time_demand.h"

namespace {

using namespace shelfcast;

// Demand of the `horizon` days after the corpus' last day, [series, horizon].
std::vector<float> read_future_truth(const data::Corpus& corpus, std::int64_t horizon) {
  std::vector<float> truth;
  corpus.read_truth("demand_uncensored", 0, corpus.info().series, corpus.info().demand_end, horizon, truth);
  return truth;
}

// [horizon, levels] of one series from the scorer's [levels, horizon].
std::vector<float> by_step(const scorer::Forecasts& all, std::int64_t series) {
  std::vector<float> quantiles_hq;
  for (std::int64_t h = 0; h < all.horizon; ++h)
    for (std::int64_t q = 0; q < all.levels; ++q)
      quantiles_hq.push_back(
          all.quantiles_bqh[static_cast<std::size_t>((series * all.levels + q) * all.horizon + h)]);
  return quantiles_hq;
}

// PITs of the true sums over `days` days; series not on sale on one of them are left out.
std::vector<double> sum_pits(const scorer::LeadTimeDemand& demand, const scorer::Forecasts& forecasts,
                             const std::vector<float>& truth, int days) {
  std::vector<double> pits;
  RandomStream draws(mix(key_of("coverage"), static_cast<std::uint64_t>(days)));
  for (std::int64_t series = 0; series < forecasts.series; ++series) {
    double sum = 0;
    for (int day = 0; day < days; ++day)
      sum += truth[static_cast<std::size_t>(series * forecasts.horizon + day)];
    if (!std::isnan(sum))
      pits.push_back(demand.over(by_step(forecasts, series), days)
                         .pit(sum, draws.uniform(), scorer::DemandKind::counts));
  }
  return pits;
}

// Prints one line a length; returns the largest deviation in points.
double judge(const std::vector<double>& pits, int days) {
  double worst = 0;
  const double mean = std::accumulate(pits.begin(), pits.end(), 0.0) / static_cast<double>(pits.size());
  std::string line = fmt::format("{:>4} days  {:>6} series  mean place {:.3f}", days, pits.size(), mean);
  for (const double nominal : {0.5, 0.8, 0.95}) {
    const double tail = (1 - nominal) / 2;
    std::size_t inside = 0;
    for (const double pit : pits) inside += pit >= tail && pit <= 1 - tail ? 1 : 0;
    const double covered = 100.0 * static_cast<double>(inside) / static_cast<double>(pits.size());
    worst = std::max(worst, std::abs(covered - 100 * nominal));
    line += fmt::format("  {:.0f} %: {:.1f}", 100 * nominal, covered);
  }
  std::puts(line.c_str());
  return worst;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: interval_coverage CORPUS BUNDLE\n", stderr);
    return 2;
  }
  const data::Corpus corpus{std::filesystem::path(argv[1])};
  const scorer::Bundle bundle(argv[2]);
  const std::vector<float> truth = read_future_truth(corpus, bundle.info().horizon);
  const scorer::Forecasts forecasts = scorer::forecast(bundle.model(), bundle.inputs(), {}, 2);
  const scorer::LeadTimeDemand demand(bundle.info().levels, bundle.copula().correlation,
                                      scorer::order_path_options(bundle.info().demand),
                                      bundle.copula().recalibration);
  double worst = 0;
  for (const int days : {1, 7, 21})
    worst = std::max(worst, judge(sum_pits(demand, forecasts, truth, days), days));
  std::printf("largest deviation: %.1f points\n", worst);
  return worst <= 5.0 ? 0 : 1;
}
