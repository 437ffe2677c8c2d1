#include "eval/baselines/ets_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace shelfcast::eval {
namespace {

constexpr double kTiny = 1e-10;  // relative errors and seasonal factors are not divided by less
constexpr double kNever = HUGE_VAL;

}  // namespace

std::string EtsForm::name() const {
  const char* trends[] = {"N", "A", "Ad"};
  const char* seasons[] = {"N", "A", "M"};
  return fmt::format("ETS({},{},{})", error == ErrorForm::additive ? "A" : "M",
                     trends[static_cast<int>(trend)], seasons[static_cast<int>(season)]);
}

EtsModel::EtsModel(EtsForm form, std::span<const double> history, std::int64_t season)
    : form_(form),
      history_(history),
      season_(form.season == Season::none ? 1 : static_cast<std::size_t>(season)) {
  smoothing_ = 1;
  if (form.trend != Trend::none) beta_ = smoothing_++;
  if (form.season != Season::none) gamma_ = smoothing_++;
  if (form.trend == Trend::damped) phi_ = smoothing_++;
  parameters_ = smoothing_ + 1 + (form.trend != Trend::none ? 1 : 0) + season_ - 1;
  width_ = (parameters_ + 3) / 4 * 4;
  state_.season.resize(season_);
  state_.level_by.resize(width_);
  state_.growth_by.resize(width_);
  state_.season_by.resize(season_ * width_);
  error_by_.resize(width_);
  forecast_by_.resize(width_);
}

EtsModel::Smoothing EtsModel::smoothing(std::span<const double> parameters) const {
  return {parameters[0], beta_ != 0 ? parameters[beta_] : 0.0, gamma_ != 0 ? parameters[gamma_] : 0.0,
          phi_ != 0    ? parameters[phi_]
          : beta_ != 0 ? 1.0
                       : 0.0};
}

void EtsModel::reset(std::span<const double> parameters) {
  std::size_t next = smoothing_;
  state_.level = parameters[next++];
  state_.growth = beta_ != 0 ? parameters[next++] : 0.0;
  if (form_.season == Season::none) return;
  double rest = form_.season == Season::multiplicative ? static_cast<double>(season_) : 0.0;
  for (std::size_t i = 1; i < season_; ++i) {
    state_.season[i] = parameters[next++];
    rest -= state_.season[i];
  }
  state_.season[0] = rest;
}

void EtsModel::reset_derivatives() {
  std::ranges::fill(state_.level_by, 0.0);
  std::ranges::fill(state_.growth_by, 0.0);
  std::ranges::fill(state_.season_by, 0.0);
  std::size_t next = smoothing_;
  state_.level_by[next++] = 1.0;
  if (beta_ != 0) state_.growth_by[next++] = 1.0;
  for (std::size_t i = 1; i < season_; ++i, ++next) {
    state_.season_by[i * width_ + next] = 1.0;
    state_.season_by[next] = -1.0;
  }
}

// One step in error correction form. With q the level to come and d = y - forecast:
//   no or additive season: l = q + alpha d, b = phi b + beta d, s += gamma d
//   multiplicative:        l = q + alpha d / s, b = phi b + beta d / s, s += gamma d / q
// whichever way the error is measured.
template <Season kSeason>
double EtsModel::run(const Smoothing& k) {
  const bool relative = form_.error == ErrorForm::multiplicative;
  double level = state_.level, growth = state_.growth, squares = 0.0, logs = 0.0;
  std::size_t phase = 0;
  for (const double y : history_) {
    double& season = state_.season[phase];
    const double q = level + k.phi * growth;
    const double forecast = kSeason == Season::none       ? q
                            : kSeason == Season::additive ? q + season
                                                          : q * season;
    const double d = y - forecast;
    double for_level = d;
    if constexpr (kSeason == Season::multiplicative) {
      if (!(std::abs(season) > kTiny && std::abs(q) > kTiny)) return kNever;
      for_level = d / season;
      season += k.gamma * d / q;
    } else if constexpr (kSeason == Season::additive) {
      season += k.gamma * d;
    }
    level = q + k.alpha * for_level;
    growth = k.phi * growth + k.beta * for_level;
    double error = d;
    if (relative) {
      if (!(forecast > kTiny)) return kNever;
      error = d / forecast;
      logs += std::log(forecast);
    }
    squares += error * error;
    if constexpr (kSeason != Season::none) phase = phase + 1 == season_ ? 0 : phase + 1;
  }
  state_.level = level;
  state_.growth = growth;
  if (!relative) return squares;
  return squares * std::exp(2.0 * logs / static_cast<double>(history_.size()));
}

double EtsModel::value(std::span<const double> parameters) {
  reset(parameters);
  if (form_.season == Season::multiplicative &&
      std::ranges::any_of(state_.season, [](double factor) { return factor < 0.0; }))
    return kNever;
  const Smoothing k = smoothing(parameters);
  double sum = kNever;
  switch (form_.season) {
    case Season::none:
      sum = run<Season::none>(k);
      break;
    case Season::additive:
      sum = run<Season::additive>(k);
      break;
    case Season::multiplicative:
      sum = run<Season::multiplicative>(k);
      break;
  }
  return std::isnan(sum) ? kNever : sum;
}

// The same steps, each line followed by its derivatives ("_by" the parameters).
template <Season kSeason>
void EtsModel::run_with_derivatives(const Smoothing& k) {
  const bool relative = form_.error == ErrorForm::multiplicative;
  double level = state_.level, growth = state_.growth, squares = 0.0, logs = 0.0;
  double* const level_by = state_.level_by.data();
  double* const growth_by = state_.growth_by.data();
  double* const forecast_by = forecast_by_.data();
  double* const error_by = error_by_.data();
  std::size_t phase = 0;
  for (const double y : history_) {
    double& season = state_.season[phase];
    double* const season_by = state_.season_by.data() + phase * width_;
    const double q = level + k.phi * growth;
    const double forecast = kSeason == Season::none       ? q
                            : kSeason == Season::additive ? q + season
                                                          : q * season;
    const double d = y - forecast;
    // level_by becomes that of q, growth_by that of phi b.
    for (std::size_t i = 0; i < width_; ++i) growth_by[i] *= k.phi;
    if (phi_ != 0) growth_by[phi_] += growth;
    for (std::size_t i = 0; i < width_; ++i) level_by[i] += growth_by[i];
    growth *= k.phi;
    for (std::size_t i = 0; i < width_; ++i)
      forecast_by[i] = kSeason == Season::none       ? level_by[i]
                       : kSeason == Season::additive ? level_by[i] + season_by[i]
                                                     : level_by[i] * season + q * season_by[i];
    double for_level = d;
    if constexpr (kSeason == Season::multiplicative) {
      for_level = d / season;
      const double for_season = d / q;
      for (std::size_t i = 0; i < width_; ++i) {
        const double q_by = level_by[i];
        const double for_level_by = (-forecast_by[i] - for_level * season_by[i]) / season;
        season_by[i] += k.gamma * (-forecast_by[i] - for_season * q_by) / q;
        level_by[i] += k.alpha * for_level_by;
        growth_by[i] += k.beta * for_level_by;
      }
      season += k.gamma * for_season;
      season_by[gamma_] += for_season;
    } else {
      for (std::size_t i = 0; i < width_; ++i) {
        level_by[i] -= k.alpha * forecast_by[i];
        growth_by[i] -= k.beta * forecast_by[i];
        if constexpr (kSeason == Season::additive) season_by[i] -= k.gamma * forecast_by[i];
      }
      if constexpr (kSeason == Season::additive) {
        season += k.gamma * d;
        season_by[gamma_] += d;
      }
    }
    level = q + k.alpha * for_level;
    level_by[0] += for_level;
    growth += k.beta * for_level;
    if (beta_ != 0) growth_by[beta_] += for_level;
    const double scale = relative ? -y / (forecast * forecast) : -1.0;
    const double error = relative ? d / forecast : d;
    for (std::size_t i = 0; i < width_; ++i) error_by[i] = scale * forecast_by[i];
    if (relative) {
      logs += std::log(forecast);
      for (std::size_t i = 0; i < width_; ++i) log_by_[i] += forecast_by[i] / forecast;
    }
    squares += error * error;
    for (std::size_t i = 0; i < parameters_; ++i) {
      double* const products = products_.data() + i * width_;
      const double factor = error_by[i];
      for (std::size_t j = 0; j < width_; ++j) products[j] += factor * error_by[j];
    }
    for (std::size_t i = 0; i < width_; ++i) slopes_[i] += error * error_by[i];
    if constexpr (kSeason != Season::none) phase = phase + 1 == season_ ? 0 : phase + 1;
  }
  squares_ = squares;
  log_forecasts_ = logs;
}

void EtsModel::linearise(std::span<const double> parameters, NormalEquations& normal) {
  reset(parameters);
  reset_derivatives();
  products_.assign(parameters_ * width_, 0.0);
  slopes_.assign(width_, 0.0);
  log_by_.assign(width_, 0.0);
  const Smoothing k = smoothing(parameters);
  switch (form_.season) {
    case Season::none:
      run_with_derivatives<Season::none>(k);
      break;
    case Season::additive:
      run_with_derivatives<Season::additive>(k);
      break;
    case Season::multiplicative:
      run_with_derivatives<Season::multiplicative>(k);
      break;
  }
  // Residuals are errors times g, the geometric mean of the forecasts (1 for additive errors), whose
  // logarithm has the derivatives G: d(e g) = g (de + e G).
  const double n = static_cast<double>(history_.size());
  const double g2 = form_.error == ErrorForm::multiplicative ? std::exp(2.0 * log_forecasts_ / n) : 1.0;
  normal.curvature.resize(parameters_ * parameters_);
  normal.slope.resize(parameters_);
  for (std::size_t i = 0; i < parameters_; ++i) {
    const double g_i = log_by_[i] / n;
    normal.slope[i] = g2 * (slopes_[i] + squares_ * g_i);
    for (std::size_t j = 0; j < parameters_; ++j) {
      const double g_j = log_by_[j] / n;
      normal.curvature[i * parameters_ + j] =
          g2 * (products_[i * width_ + j] + slopes_[i] * g_j + slopes_[j] * g_i + squares_ * g_i * g_j);
    }
  }
}

void EtsModel::forecast(std::span<const double> parameters, std::span<double> steps) {
  value(parameters);
  const Smoothing k = smoothing(parameters);
  double level = state_.level, growth = state_.growth;
  std::size_t phase = form_.season == Season::none ? 0 : history_.size() % season_;
  for (double& step : steps) {
    growth *= k.phi;
    level += growth;
    step = form_.season == Season::none       ? level
           : form_.season == Season::additive ? level + state_.season[phase]
                                              : level * state_.season[phase];
    phase = (phase + 1) % season_;
  }
}

}  // namespace shelfcast::eval
