#include "trainer/demand_dependence.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/log.h"
#include "base/random.h"
#include "data/loader.h"
#include "scorer/orders/copula.h"
#include "scorer/orders/lead_time_demand.h"
#include "scorer/orders/marginal.h"
#include "trainer/model_forecaster.h"
#include "trainer/plan.h"

namespace shelfcast::trainer {
namespace {

// Interval lengths that are recalibrated, in steps: one, and whole weeks of a daily corpus.
constexpr int kLongestStride = 7;
constexpr std::int64_t kMostWindows = 8192;

// One unseen window: its forecast [horizon, levels] and what happened [horizon].
struct JudgedWindow {
  std::vector<float> quantiles_hq, target_h;
  RandomStream draws;
};

JudgedWindow judged_window(const data::Batch& batch, const eval::ForecastValues& values, std::int64_t row,
                           std::int64_t horizon) {
  const auto levels = static_cast<std::int64_t>(values.levels.size());
  const data::Window& window = batch.window_b[static_cast<std::size_t>(row)];
  JudgedWindow judged{{},
                      {},
                      RandomStream(mix(mix(key_of("pit"), static_cast<std::uint64_t>(window.series)),
                                       static_cast<std::uint64_t>(window.origin)))};
  for (std::int64_t step = 0; step < horizon; ++step) {
    judged.target_h.push_back(batch.target_bh[static_cast<std::size_t>(row * horizon + step)]);
    for (std::int64_t q = 0; q < levels; ++q)
      judged.quantiles_hq.push_back(
          values.quantiles_bqh[static_cast<std::size_t>((row * levels + q) * horizon + step)]);
  }
  return judged;
}

// A demand that is at least `sales`, drawn from what the forecast says of demand that large.
float draw_censored(const scorer::Marginal& marginal, float sales, double draw) {
  constexpr double kFarthest = 0.999;  // the tail beyond is extrapolated
  const double below = std::min(kFarthest, marginal.cdf(sales - 0.5));
  const double demand = marginal.quantile(std::max(1e-6, below + draw * (kFarthest - below)));
  return std::max(sales, static_cast<float>(std::round(demand)));
}

// Puts demand where a stock-out cut sales: what was sold is the least it can have been. Left out, the days of
// high demand would be missing from the sums.
void impute_censored(JudgedWindow& window, const float* sales_h, const std::vector<double>& levels) {
  for (std::size_t step = 0; step < window.target_h.size(); ++step) {
    const double draw = window.draws.uniform();
    if (!std::isnan(window.target_h[step]) || std::isnan(sales_h[step])) continue;
    const std::span<const float> quantiles =
        std::span(window.quantiles_hq).subspan(step * levels.size(), levels.size());
    window.target_h[step] = draw_censored(scorer::Marginal(levels, quantiles), sales_h[step], draw);
  }
}

// Windows after the training cut-off, as late as the data goes: the later ones are as far from training as
// the forecasts to come, so their errors tell of drift, too.
std::vector<data::Window> unseen_windows(const TrainedRun& run, const data::CorpusInfo& info) {
  const std::int64_t train_end = info.axis.step_at_or_before(*run.recipe.data.train_until);
  const std::int64_t horizon = run.features.horizon;
  const std::int64_t first = train_end + (info.demand_end - train_end) % horizon;
  return choose_windows(mix(static_cast<std::uint64_t>(run.recipe.run.seed), key_of("dependence")),
                        info.series, first, info.demand_end, horizon, kMostWindows);
}

std::vector<JudgedWindow> forecast_windows(const TrainedRun& run, const std::vector<data::Window>& unseen) {
  data::EvaluationReader reader(run.recipe.data.corpus, run.features, unseen, run.recipe.backtest.batch);
  // The same windows with the sales of censored steps, which the model's own columns leave out.
  data::FeatureSpec uncut = run.features;
  uncut.censored.clear();
  data::EvaluationReader sales_reader(run.recipe.data.corpus, uncut, unseen, run.recipe.backtest.batch);
  ModelForecaster forecaster("unseen windows", *run.model, run.features);
  std::vector<JudgedWindow> windows;
  data::Batch batch, sales;
  eval::ForecastValues values;
  for (std::int64_t k = 0; k < reader.batches(); ++k) {
    reader.read(k, batch);
    sales_reader.read(k, sales);
    forecaster.forecast(batch, values);
    for (std::int64_t row = 0; row < batch.windows; ++row) {
      if (batch.window_b[static_cast<std::size_t>(row)].series < 0) continue;
      windows.push_back(judged_window(batch, values, row, run.features.horizon));
      impute_censored(windows.back(), sales.target_bh.data() + row * run.features.horizon, values.levels);
    }
  }
  return windows;
}

scorer::Correlation estimate_correlation(std::vector<JudgedWindow>& windows,
                                         const std::vector<double>& levels, std::int64_t horizon) {
  scorer::CopulaEstimator estimator(static_cast<int>(horizon));
  for (JudgedWindow& window : windows) {
    std::vector<double> pits;
    for (std::size_t step = 0; step < window.target_h.size(); ++step) {
      const double draw = window.draws.uniform();
      const scorer::Marginal marginal(
          levels, std::span(window.quantiles_hq).subspan(step * levels.size(), levels.size()));
      const float target = window.target_h[step];
      pits.push_back(std::isnan(target)
                         ? std::numeric_limits<double>::quiet_NaN()
                         : scorer::randomised_pit(marginal, target, draw, scorer::DemandKind::counts));
    }
    estimator.add(pits);
  }
  return scorer::positive_definite(estimator.estimate());
}

// PITs of the realised sums over the observed ones of the first `days` steps, against the distribution of the
// sum of the same steps. Leaving out every window with a missing step would not do: where stock-outs censor
// demand, the windows without one are those with low demand.
std::vector<double> sum_pits(std::vector<JudgedWindow>& windows, const scorer::LeadTimeDemand& demand,
                             int days) {
  std::vector<double> pits;
  for (JudgedWindow& window : windows) {
    const std::size_t levels = window.quantiles_hq.size() / window.target_h.size();
    std::vector<float> quantiles_hq = window.quantiles_hq;
    double sum = 0;
    int observed = 0;
    for (std::size_t step = 0; step < static_cast<std::size_t>(days); ++step) {
      if (std::isnan(window.target_h[step])) {
        std::fill_n(quantiles_hq.begin() + static_cast<std::ptrdiff_t>(step * levels), levels, 0.0F);
        continue;
      }
      sum += window.target_h[step];
      ++observed;
    }
    const double draw = window.draws.uniform();
    if (2 * observed > days) {
      pits.push_back(demand.over(quantiles_hq, days).pit(sum, draw, scorer::DemandKind::counts));
    }
  }
  return pits;
}

scorer::Recalibration fit_recalibration(std::vector<JudgedWindow>& windows, const std::vector<double>& levels,
                                        const scorer::Correlation& correlation) {
  const scorer::LeadTimeDemand demand(levels, correlation, scorer::order_path_options());
  scorer::Recalibration recalibration;
  for (int days = 1; days <= correlation.size; days += days == 1 ? kLongestStride - 1 : kLongestStride) {
    std::vector<double> pits = sum_pits(windows, demand, days);
    if (!pits.empty()) recalibration.fit(days, std::move(pits));
  }
  return recalibration;
}

}  // namespace

DemandDependence estimate_dependence(const TrainedRun& run, const data::Corpus& corpus) {
  const std::vector<data::Window> unseen = unseen_windows(run, corpus.info());
  const std::vector<double>& levels = run.model->config().model.quantiles;
  DemandDependence dependence;
  scorer::Correlation correlation = scorer::Correlation::identity(static_cast<int>(run.features.horizon));
  if (unseen.empty()) {
    log::warn(
        "there is no demand after the training cut-off - steps are taken as independent, so sums of demand "
        "look too certain");
  } else {
    std::vector<JudgedWindow> windows = forecast_windows(run, unseen);
    dependence.windows = static_cast<std::int64_t>(windows.size());
    correlation = estimate_correlation(windows, levels, run.features.horizon);
    dependence.parameters.recalibration = fit_recalibration(windows, levels, correlation);
  }
  dependence.parameters.correlation = std::move(correlation);
  return dependence;
}

}  // namespace shelfcast::trainer
