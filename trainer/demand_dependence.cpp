#include "trainer/demand_dependence.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/log.h"
#include "base/random.h"
#include "data/loader.h"
#include "scorer/orders/copula.h"
#include "scorer/orders/hidden_scores.h"
#include "scorer/orders/lead_time_demand.h"
#include "scorer/orders/marginal.h"
#include "scorer/orders/normal.h"
#include "trainer/model_forecaster.h"
#include "trainer/plan.h"

namespace shelfcast::trainer {
namespace {

// Interval lengths that are recalibrated, in steps: one, and whole weeks of a daily corpus.
constexpr int kLongestStride = 7;
constexpr std::int64_t kMostWindows = 8192;
constexpr std::int64_t kBlockSeries = 256;  // series read at a time
constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

// One unseen window: its forecast [horizon, levels], what happened and the places of that in the forecast's
// distributions [horizon].
struct JudgedWindow {
  std::vector<float> quantiles_hq;
  std::vector<float> target_h;  // NaN = not seen
  std::vector<float> bound_h;   // sales that a stock-out cut, NaN elsewhere
  std::vector<double> score_h;  // normal scores of the places; NaN = not seen
  RandomStream draws;

  scorer::Marginal marginal(std::size_t step, const std::vector<double>& levels) const {
    return {levels, std::span(quantiles_hq).subspan(step * levels.size(), levels.size())};
  }
};

JudgedWindow judged_window(const data::Batch& batch, const eval::ForecastValues& values, std::int64_t row,
                           std::int64_t horizon, scorer::DemandKind kind) {
  const auto levels = static_cast<std::int64_t>(values.levels.size());
  const data::Window& window = batch.window_b[static_cast<std::size_t>(row)];
  JudgedWindow judged{{},
                      {},
                      {},
                      {},
                      RandomStream(mix(mix(key_of("pit"), static_cast<std::uint64_t>(window.series)),
                                       static_cast<std::uint64_t>(window.origin)))};
  for (std::int64_t step = 0; step < horizon; ++step) {
    const auto cell = static_cast<std::size_t>(row * horizon + step);
    judged.target_h.push_back(batch.target_bh[cell]);
    judged.bound_h.push_back(batch.bound_bh.empty() ? kMissing : batch.bound_bh[cell]);
    for (std::int64_t q = 0; q < levels; ++q)
      judged.quantiles_hq.push_back(
          values.quantiles_bqh[static_cast<std::size_t>((row * levels + q) * horizon + step)]);
    const double draw = judged.draws.uniform();
    const float target = judged.target_h.back();
    judged.score_h.push_back(
        std::isnan(target)
            ? kMissing
            : scorer::normal_quantile(scorer::randomised_pit(
                  judged.marginal(static_cast<std::size_t>(step), values.levels), target, draw, kind)));
  }
  return judged;
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

std::vector<JudgedWindow> forecast_windows(const TrainedRun& run, const SeriesTexts& texts,
                                           const std::vector<data::Window>& unseen, scorer::DemandKind kind) {
  data::EvaluationReader reader(run.recipe.data.source(), run.features, unseen, run.recipe.backtest.batch);
  ModelForecaster forecaster("unseen windows", *run.model, run.features, texts);
  std::vector<JudgedWindow> windows;
  data::Batch batch;
  eval::ForecastValues values;
  for (std::int64_t k = 0; k < reader.batches(); ++k) {
    reader.read(k, batch);
    forecaster.forecast(batch, values);
    for (std::int64_t row = 0; row < batch.windows; ++row) {
      if (batch.window_b[static_cast<std::size_t>(row)].series < 0) continue;
      windows.push_back(judged_window(batch, values, row, run.features.horizon, kind));
    }
  }
  return windows;
}

scorer::Correlation correlation_of(const std::vector<std::vector<double>>& scores, std::int64_t horizon) {
  scorer::CopulaEstimator estimator(static_cast<int>(horizon));
  for (const std::vector<double>& score_h : scores) estimator.add_scores(score_h);
  return scorer::positive_definite(estimator.estimate());
}

// Puts demand where a stock-out cut sales, in `target_h` and in the scores returned: above what was sold, and
// as high as the other days of the window say, because shelves are emptied where demand is higher than
// expected. Left out, the days of high demand would be missing from the sums.
std::vector<double> draw_hidden_demand(JudgedWindow& window, const std::vector<double>& levels,
                                       const scorer::HiddenScores& hidden, scorer::DemandKind kind) {
  constexpr double kHighestPlace = 0.999;  // the tail beyond is extrapolated
  std::vector<double> score_h = window.score_h;
  // More than what was sold is at least one unit more where demand is counted.
  const bool counts = kind == scorer::DemandKind::counts;
  const float unit = counts ? 1.0F : 0.0F;
  const auto cut = [&](std::size_t step) { return !std::isnan(window.bound_h[step]); };
  std::vector<double> lower_h(score_h.size(), -std::numeric_limits<double>::infinity());
  bool any = false;
  for (std::size_t step = 0; step < score_h.size(); ++step) {
    if (!cut(step)) continue;
    any = true;
    const double below = window.marginal(step, levels).cdf(window.bound_h[step] + 0.5F * unit);
    lower_h[step] = scorer::normal_quantile(std::clamp(below, 1e-6, kHighestPlace));
  }
  if (!any) return score_h;
  hidden.draw(score_h, lower_h, window.draws);
  for (std::size_t step = 0; step < score_h.size(); ++step) {
    if (!cut(step)) {
      score_h[step] = window.score_h[step];  // what was not even cut stays unseen
      continue;
    }
    const double place = std::min(kHighestPlace, scorer::normal_cdf(score_h[step]));
    const double demand = window.marginal(step, levels).quantile(place);
    window.target_h[step] =
        std::max(window.bound_h[step] + unit, static_cast<float>(counts ? std::round(demand) : demand));
  }
  return score_h;
}

// The correlation of the steps' scores, and hidden demand drawn by it: each needs the other, so they take
// turns.
scorer::Correlation estimate_correlation(std::vector<JudgedWindow>& windows,
                                         const std::vector<double>& levels, std::int64_t horizon,
                                         scorer::DemandKind kind) {
  constexpr int kTurns = 4;
  std::vector<std::vector<double>> scores;
  for (const JudgedWindow& window : windows) scores.push_back(window.score_h);
  scorer::Correlation correlation = correlation_of(scores, horizon);
  for (int turn = 0; turn < kTurns; ++turn) {
    const scorer::HiddenScores hidden(correlation);
    for (std::size_t w = 0; w < windows.size(); ++w)
      scores[w] = draw_hidden_demand(windows[w], levels, hidden, kind);
    correlation = correlation_of(scores, horizon);
  }
  return correlation;
}

// PITs of the realised sums over the observed ones of the first `days` steps, against the distribution of the
// sum of the same steps. Leaving out every window with a missing step would not do: where stock-outs censor
// demand, the windows without one are those with low demand.
std::vector<double> sum_pits(std::vector<JudgedWindow>& windows, const scorer::LeadTimeDemand& demand,
                             int days, scorer::DemandKind kind) {
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
    if (2 * observed > days) pits.push_back(demand.over(quantiles_hq, days).pit(sum, draw, kind));
  }
  return pits;
}

// The unseen windows share a few weeks, so all series may have missed them to the same side: a miss whose
// size will come again, its sign perhaps not. Each place therefore counts on both sides: intervals get as
// wide as they have to be, and their middle stays the model's.
scorer::Recalibration fit_recalibration(std::vector<JudgedWindow>& windows, const std::vector<double>& levels,
                                        const scorer::Correlation& correlation, scorer::DemandKind kind) {
  const scorer::LeadTimeDemand demand(levels, correlation, scorer::order_path_options(kind));
  scorer::Recalibration recalibration;
  for (int days = 1; days <= correlation.size; days += days == 1 ? kLongestStride - 1 : kLongestStride) {
    std::vector<double> pits = sum_pits(windows, demand, days, kind);
    const std::size_t windows_seen = pits.size();
    for (std::size_t i = 0; i < windows_seen; ++i) pits.push_back(1.0 - pits[i]);
    if (!pits.empty()) recalibration.fit(days, std::move(pits));
  }
  return recalibration;
}

}  // namespace

scorer::DemandKind kind_of_demand(const data::Corpus& corpus) {
  const data::CorpusInfo& info = corpus.info();
  data::PanelBlock block;
  for (std::int64_t first = 0; first < info.series; first += kBlockSeries) {
    corpus.read(first, std::min(kBlockSeries, info.series - first), 0, info.demand_end, {}, block);
    for (const float y : block.demand)
      if (!std::isnan(y) && y != std::round(y)) return scorer::DemandKind::continuous;
  }
  return scorer::DemandKind::counts;
}

DemandDependence estimate_dependence(const TrainedRun& run, const data::Corpus& corpus,
                                     const SeriesTexts& texts, scorer::DemandKind kind) {
  const std::vector<data::Window> unseen = unseen_windows(run, corpus.info());
  const std::vector<double>& levels = run.model->config().model.quantiles;
  DemandDependence dependence;
  scorer::Correlation correlation = scorer::Correlation::identity(static_cast<int>(run.features.horizon));
  if (unseen.empty()) {
    log::warn(
        "there is no demand after the training cut-off - steps are taken as independent, so sums of demand "
        "look too certain");
  } else {
    std::vector<JudgedWindow> windows = forecast_windows(run, texts, unseen, kind);
    dependence.windows = static_cast<std::int64_t>(windows.size());
    correlation = estimate_correlation(windows, levels, run.features.horizon, kind);
    dependence.parameters.recalibration = fit_recalibration(windows, levels, correlation, kind);
  }
  dependence.parameters.correlation = std::move(correlation);
  return dependence;
}

}  // namespace shelfcast::trainer
