#include "eval/baselines/theta.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "eval/baselines/brent.h"

namespace shelfcast::eval {
namespace {

constexpr double kSlowest = 0.1, kFastest = 0.99;  // alpha
constexpr double kMostWeight = 1.0 - 1e-10;        // theta of 1e10
constexpr std::size_t kSkipped = 3;                // first errors that do not count

// A + B t: the trend line, and the mean it belongs to.
struct TrendLine {
  double mean, intercept, slope;
};

TrendLine whole_line(std::span<const double> history) {
  const auto n = static_cast<double>(history.size());
  double sum = 0.0, weighted = 0.0;
  for (std::size_t t = 0; t < history.size(); ++t) {
    sum += history[t];
    weighted += history[t] * static_cast<double>(t + 1);
  }
  const double mean = sum / n, slope = 6.0 * (2.0 * weighted / n - (n + 1.0) * mean) / (n * n - 1.0);
  return {mean, mean - 0.5 * (n + 1.0) * slope, slope};
}

// The line after `y` was seen as value number t + 1 (t from 1).
TrendLine updated(const TrendLine& line, double t, double y) {
  const double mean = (t * line.mean + y) / (t + 1.0);
  const double slope = ((t - 1.0) * line.slope + 6.0 * (y - line.mean) / (t + 1.0)) / (t + 2.0);
  return {mean, mean - 0.5 * slope * (t + 2.0), slope};
}

// The lines that the forecasts of steps 1, 2, ... use.
std::vector<TrendLine> trend_lines(std::span<const double> history, ThetaLine kind) {
  if (kind == ThetaLine::standard) return std::vector(history.size(), whole_line(history));
  std::vector<TrendLine> lines{{history.front(), history.front(), 0.0}};
  for (std::size_t t = 1; t < history.size(); ++t)
    lines.push_back(updated(lines.back(), static_cast<double>(t), history[t]));
  return lines;
}

// What the line adds to the forecast of step t, by weight 1. `decay` is (1 - alpha)^t.
double trend_part(const TrendLine& line, double alpha, double decay) {
  return line.intercept * decay + line.slope * (1.0 - decay * (1.0 - alpha)) / alpha;
}

// Given alpha, forecast t is s_t + (1 - alpha)^t level + weight * trend_t, where s_t smooths the history from
// a level of 0: level and weight are ordinary least squares.
class LinearPart {
 public:
  LinearPart(std::span<const double> history, const std::vector<TrendLine>& lines, ThetaWeight weight)
      : history_(history), lines_(lines), weight_(weight) {}

  ThetaFit solve(double alpha) const {
    double smooth = alpha * history_[0], decay = 1.0 - alpha;
    double ll = 0.0, lw = 0.0, ww = 0.0, lr = 0.0, wr = 0.0, rr = 0.0;
    for (std::size_t t = 1; t < history_.size(); ++t) {
      if (t >= kSkipped) {
        const double trend = trend_part(lines_[t - 1], alpha, decay), rest = history_[t] - smooth;
        ll += decay * decay, lw += decay * trend, ww += trend * trend;
        lr += decay * rest, wr += trend * rest, rr += rest * rest;
      }
      smooth = alpha * history_[t] + (1.0 - alpha) * smooth;
      decay *= 1.0 - alpha;
    }
    ThetaFit fit;
    fit.alpha = alpha;
    if (weight_ == ThetaWeight::optimised) {
      const double determinant = ll * ww - lw * lw;
      if (determinant > 1e-12 * ll * ww)
        fit.weight = std::clamp((ll * wr - lw * lr) / determinant, 0.0, kMostWeight);
    }
    fit.level = (lr - fit.weight * lw) / ll;
    fit.squared_error = rr - 2.0 * fit.level * lr - 2.0 * fit.weight * wr + fit.level * fit.level * ll +
                        2.0 * fit.level * fit.weight * lw + fit.weight * fit.weight * ww;
    return fit;
  }

 private:
  std::span<const double> history_;
  const std::vector<TrendLine>& lines_;
  ThetaWeight weight_;
};

// As LinearPart has it, without its differences of large numbers.
double squared_error(const ThetaFit& fit, std::span<const double> history,
                     const std::vector<TrendLine>& lines) {
  double level = fit.alpha * history[0] + (1.0 - fit.alpha) * fit.level, decay = 1.0 - fit.alpha, sum = 0.0;
  for (std::size_t t = 1; t < history.size(); ++t) {
    const double forecast = level + fit.weight * trend_part(lines[t - 1], fit.alpha, decay);
    if (t >= kSkipped) sum += (history[t] - forecast) * (history[t] - forecast);
    level = fit.alpha * history[t] + (1.0 - fit.alpha) * level;
    decay *= 1.0 - fit.alpha;
  }
  return sum;
}

}  // namespace

ThetaFit fit_theta(std::span<const double> history, ThetaLine line, ThetaWeight weight) {
  const std::vector<TrendLine> lines = trend_lines(history, line);
  const LinearPart linear(history, lines, weight);
  // The best of a few alphas, then the valley around it.
  constexpr int kParts = 10;
  const double part = (kFastest - kSlowest) / kParts;
  ThetaFit best = linear.solve(kSlowest);
  for (int i = 1; i <= kParts; ++i) {
    const ThetaFit fit = linear.solve(kSlowest + i * part);
    if (fit.squared_error < best.squared_error) best = fit;
  }
  const double alpha =
      minimise_bounded([&](double a) { return linear.solve(a).squared_error; },
                       std::max(kSlowest, best.alpha - part), std::min(kFastest, best.alpha + part), 1e-8);
  const ThetaFit refined = linear.solve(alpha);
  if (refined.squared_error < best.squared_error) best = refined;
  best.line = line;
  best.squared_error = squared_error(best, history, lines);
  return best;
}

ThetaFit select_theta(std::span<const double> history) {
  ThetaFit best;
  best.squared_error = HUGE_VAL;
  for (const ThetaLine line : {ThetaLine::standard, ThetaLine::dynamic}) {
    for (const ThetaWeight weight : {ThetaWeight::given, ThetaWeight::optimised}) {
      const ThetaFit fit = fit_theta(history, line, weight);
      if (fit.squared_error < best.squared_error) best = fit;
    }
  }
  return best;
}

void forecast_theta(const ThetaFit& fit, std::span<const double> history, std::span<double> steps) {
  TrendLine line = trend_lines(history, fit.line).back();
  double level = fit.level, decay = 1.0;
  for (const double value : history) {
    level = fit.alpha * value + (1.0 - fit.alpha) * level;
    decay *= 1.0 - fit.alpha;
  }
  // A forecast stands for the value not yet seen.
  auto t = static_cast<double>(history.size());
  for (double& step : steps) {
    step = level + fit.weight * trend_part(line, fit.alpha, decay);
    level = fit.alpha * step + (1.0 - fit.alpha) * level;
    decay *= 1.0 - fit.alpha;
    if (fit.line == ThetaLine::dynamic) line = updated(line, t, step);
    t += 1.0;
  }
}

Deseasonalised deseasonalise(std::span<const double> history, std::int64_t season) {
  Deseasonalised result{{history.begin(), history.end()}, Season::none, {}};
  if (!is_seasonal(history, season)) return result;
  result.kind = is_positive(history) ? Season::multiplicative : Season::additive;
  result.indices = seasonal_indices(history, season, result.kind);
  if (result.kind == Season::multiplicative && std::ranges::min(result.indices) < 0.01) {
    result.kind = Season::additive;
    result.indices = seasonal_indices(history, season, result.kind);
  }
  for (std::size_t t = 0; t < result.history.size(); ++t) {
    const double index = result.indices[t % result.indices.size()];
    result.history[t] =
        result.kind == Season::additive ? result.history[t] - index : result.history[t] / index;
  }
  return result;
}

MadeBy theta(std::span<const double> history, std::int64_t season, std::span<double> steps) {
  if (history.size() <= kSkipped || is_constant(history)) {
    std::ranges::fill(steps, history.back());
    return is_constant(history) ? MadeBy::method : MadeBy::simpler;
  }
  const Deseasonalised rest = deseasonalise(history, season);
  forecast_theta(select_theta(rest.history), rest.history, steps);
  for (std::size_t h = 0; h < steps.size() && rest.kind != Season::none; ++h) {
    const double index = rest.indices[(history.size() + h) % rest.indices.size()];
    steps[h] = rest.kind == Season::additive ? steps[h] + index : steps[h] * index;
  }
  return MadeBy::method;
}

}  // namespace shelfcast::eval
