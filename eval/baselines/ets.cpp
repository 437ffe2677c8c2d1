#include "eval/baselines/ets.h"

#include <algorithm>
#include <cmath>

#include "eval/baselines/intermittent.h"

namespace shelfcast::eval {
namespace {

constexpr double kLeast = 1e-4, kMost = 0.9999;           // alpha, beta, gamma
constexpr int kTrialSteps = 2;                            // from each start
constexpr std::size_t kFinished = 3;                      // candidates that are minimised to the end
constexpr double kLeastDamped = 0.8, kMostDamped = 0.98;  // phi

struct Start {
  double alpha, beta, gamma, phi;
};

bool admits(EtsForm form, std::span<const double> history, std::int64_t season) {
  if (form.season != Season::none && (season < 2 || std::ssize(history) <= season)) return false;
  const bool ratios = form.error == ErrorForm::multiplicative || form.season == Season::multiplicative;
  return !ratios || is_positive(history);
}

// Seasonal indices of any history longer than one season: before two are over, what each step of the season
// lay above or by how many times the mean.
std::vector<double> first_season(std::span<const double> history, std::int64_t season, Season kind) {
  if (std::ssize(history) >= 2 * season) return seasonal_indices(history, season, kind);
  const auto period = static_cast<std::size_t>(season);
  double mean = 0.0;
  for (const double value : history.first(period)) mean += value / static_cast<double>(season);
  std::vector<double> indices;
  for (const double value : history.first(period))
    indices.push_back(kind == Season::additive ? value - mean : value / mean);
  return indices;
}

struct Line {
  double level, growth;  // at the step before the first, per step
};

Line line_through(std::span<const double> values) {
  const auto n = static_cast<double>(values.size());
  double sum = 0.0, weighted = 0.0;
  for (std::size_t t = 0; t < values.size(); ++t) {
    sum += values[t];
    weighted += values[t] * (static_cast<double>(t + 1) - 0.5 * (n + 1.0));
  }
  const double growth = n > 1 ? 12.0 * weighted / (n * (n * n - 1.0)) : 0.0;
  return {sum / n - 0.5 * (n + 1.0) * growth, growth};
}

// Level, growth and season before the first step, from the line through the first `steps` of the history
// without its season.
std::vector<double> states_from(EtsForm form, std::span<const double> history, std::int64_t season,
                                std::size_t steps) {
  std::vector<double> adjusted(history.begin(), history.end()), indices;
  if (form.season != Season::none) {
    indices = first_season(history, season, form.season);
    for (double& index : indices)
      if (form.season == Season::multiplicative) index = std::max(index, 1e-2);
    for (std::size_t t = 0; t < adjusted.size(); ++t) {
      const double index = indices[t % indices.size()];
      adjusted[t] = form.season == Season::additive ? adjusted[t] - index : adjusted[t] / index;
    }
  }
  adjusted.resize(std::min(adjusted.size(), steps));
  const Line line = line_through(adjusted);
  const auto n = static_cast<double>(adjusted.size());
  // A line that would cross 0 is no start for forms that divide by forecasts.
  const bool flat = form.trend == Trend::none ||
                    (form.error == ErrorForm::multiplicative && !(line.level + line.growth > 0.0));
  std::vector<double> states{flat ? line.level + 0.5 * (n + 1.0) * line.growth : line.level};
  if (form.trend != Trend::none) states.push_back(flat ? 0.0 : line.growth);
  if (!indices.empty()) states.insert(states.end(), indices.begin() + 1, indices.end());
  return states;
}

std::vector<double> parameters_from(EtsForm form, const Start& start, std::span<const double> states) {
  std::vector<double> parameters{start.alpha};
  if (form.trend != Trend::none) parameters.push_back(start.beta);
  if (form.season != Season::none) parameters.push_back(start.gamma);
  if (form.trend == Trend::damped) parameters.push_back(start.phi);
  parameters.insert(parameters.end(), states.begin(), states.end());
  return parameters;
}

Bounds bounds_of(EtsForm form, std::size_t parameters) {
  Bounds bounds{std::vector<double>(parameters, -HUGE_VAL), std::vector<double>(parameters, HUGE_VAL)};
  std::size_t next = 0;
  const auto bound = [&](double lower, double upper) {
    bounds.lower[next] = lower;
    bounds.upper[next++] = upper;
  };
  bound(kLeast, kMost);
  if (form.trend != Trend::none) bound(kLeast, kMost);
  if (form.season != Season::none) bound(kLeast, kMost);
  if (form.trend == Trend::damped) bound(kLeastDamped, kMostDamped);
  return bounds;
}

// From hardly any smoothing about a line through everything to fast smoothing.
std::vector<Start> starts(EtsForm form) {
  std::vector<Start> all;
  for (const double alpha : {kLeast, 0.03, 0.2, 0.6}) {
    for (const double beta : {kLeast, 0.02}) {
      for (const double gamma : {kLeast, 0.2}) {
        if (form.trend == Trend::none && beta != kLeast) continue;
        if (form.season == Season::none && gamma != kLeast) continue;
        all.push_back({alpha, beta, gamma, kMostDamped});
      }
    }
  }
  return all;
}

void forecast_fit(const EtsFit& fit, std::span<const double> history, std::int64_t season,
                  std::span<double> steps) {
  EtsModel(fit.form, history, season).forecast(fit.parameters, steps);
}

// The first of these forms that the history admits; simple exponential smoothing failing all.
MadeBy forecast_first(std::initializer_list<EtsForm> forms, std::span<const double> history,
                      std::int64_t season, std::span<double> steps) {
  const bool constant = is_constant(history);
  for (auto form = forms.begin(); form != forms.end() && !constant; ++form) {
    const auto fit = fit_ets(*form, history, season);
    if (!fit) continue;
    forecast_fit(*fit, history, season, steps);
    return form == forms.begin() ? MadeBy::method : MadeBy::simpler;
  }
  std::ranges::fill(steps, ses(history));
  return constant ? MadeBy::method : MadeBy::simpler;
}

constexpr EtsForm kHolt{ErrorForm::additive, Trend::additive, Season::none};
constexpr EtsForm kHoltWinters{ErrorForm::additive, Trend::additive, Season::additive};
constexpr EtsForm kMultiplicative{ErrorForm::multiplicative, Trend::additive, Season::multiplicative};

}  // namespace

std::optional<EtsFit> fit_ets(EtsForm form, std::span<const double> history, std::int64_t season) {
  if (!admits(form, history, season)) return std::nullopt;
  EtsModel model(form, history, season);
  const auto n = static_cast<double>(history.size()), k = static_cast<double>(model.parameters() + 1);
  if (k + 1.0 > n) return std::nullopt;
  const Bounds bounds = bounds_of(form, model.parameters());
  const std::size_t length = form.season == Season::none ? 1 : static_cast<std::size_t>(season);
  const std::vector<double> early = states_from(form, history, season, std::max<std::size_t>(10, 2 * length)),
                            overall = states_from(form, history, season, history.size());
  // The sum of squares has several valleys. A few steps from each start tell which are deep; those are gone
  // down.
  struct Candidate {
    double sum;
    std::vector<double> parameters;
  };
  std::vector<Candidate> candidates;
  for (const Start& start : starts(form)) {
    Candidate candidate{0.0, parameters_from(form, start, start.alpha < 0.1 ? overall : early)};
    candidate.sum = minimise(model, bounds, candidate.parameters, kTrialSteps);
    if (std::isfinite(candidate.sum)) candidates.push_back(std::move(candidate));
  }
  std::ranges::sort(candidates, {}, &Candidate::sum);
  if (candidates.size() > kFinished) candidates.resize(kFinished);
  EtsFit fit{form, {}, 0.0, 0.0};
  double best = HUGE_VAL;
  for (Candidate& candidate : candidates) {
    const double sum = minimise(model, bounds, candidate.parameters);
    if (!(sum < best)) continue;
    best = sum;
    fit.parameters = std::move(candidate.parameters);
  }
  if (fit.parameters.empty()) return std::nullopt;
  fit.log_likelihood = -0.5 * n * std::log(std::max(best, 1e-300));
  fit.aicc = n - k - 1.0 > 0.0 ? -2.0 * fit.log_likelihood + 2.0 * k + 2.0 * k * (k + 1.0) / (n - k - 1.0)
                               : HUGE_VAL;
  return fit;
}

std::optional<EtsFit> select_ets(std::span<const double> history, std::int64_t season) {
  if (is_constant(history)) return std::nullopt;
  std::optional<EtsFit> best;
  for (const ErrorForm error : {ErrorForm::additive, ErrorForm::multiplicative}) {
    for (const Trend trend : {Trend::none, Trend::additive, Trend::damped}) {
      for (const Season kind : {Season::none, Season::additive, Season::multiplicative}) {
        if (error == ErrorForm::additive && kind == Season::multiplicative) continue;
        const auto fit = fit_ets({error, trend, kind}, history, season);
        if (fit && (!best || fit->aicc < best->aicc)) best = fit;
      }
    }
  }
  return best;
}

MadeBy holt(std::span<const double> history, std::span<double> steps) {
  return forecast_first({kHolt}, history, 1, steps);
}

MadeBy holt_winters(std::span<const double> history, std::int64_t season, std::span<double> steps) {
  return forecast_first({kHoltWinters, kHolt}, history, season, steps);
}

MadeBy multiplicative_holt_winters(std::span<const double> history, std::int64_t season,
                                   std::span<double> steps) {
  return forecast_first({kMultiplicative, kHoltWinters, kHolt}, history, season, steps);
}

MadeBy ets(std::span<const double> history, std::int64_t season, std::span<double> steps) {
  const auto fit = select_ets(history, season);
  if (fit)
    forecast_fit(*fit, history, season, steps);
  else
    std::ranges::fill(steps, ses(history));
  return fit || is_constant(history) ? MadeBy::method : MadeBy::simpler;
}

}  // namespace shelfcast::eval
