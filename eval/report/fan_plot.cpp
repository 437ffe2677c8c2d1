// The plot of one series' forecasts from one origin.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "eval/report/plots.h"
#include "eval/report/svg.h"

namespace shelfcast::eval {
namespace {

constexpr double kWidth = 520, kHeight = 250, kLeft = 52, kRight = 510, kTop = 10, kBottom = 214;

struct Frame {
  Axis x, y;
};

// The span of everything drawn, from 0 unless returns made demand negative.
std::pair<double, double> value_range(const Fan& fan) {
  double low = 0.0, high = 0.0;
  const auto look = [&](const std::vector<float>& values) {
    for (const float value : values) {
      if (std::isnan(value)) continue;
      low = std::min(low, static_cast<double>(value));
      high = std::max(high, static_cast<double>(value));
    }
  };
  look(fan.history);
  look(fan.target);
  look(fan.forecasts.front().median_h);
  look(fan.forecasts.front().quantiles_qh);
  return {1.05 * low, high > low ? 1.05 * high : 1.0};
}

Points points_of(const Frame& frame, double first, std::span<const float> values) {
  Points points;
  for (std::size_t i = 0; i < values.size(); ++i)
    points.emplace_back(frame.x(first + static_cast<double>(i)), frame.y(static_cast<double>(values[i])));
  return points;
}

// Observed values only: a gap breaks the line.
void draw_observed(Svg& svg, const Frame& frame, double first, const std::vector<float>& values,
                   const std::string& style) {
  Points run;
  for (std::size_t i = 0; i <= values.size(); ++i) {
    if (i < values.size() && !std::isnan(values[i])) {
      run.emplace_back(frame.x(first + static_cast<double>(i)), frame.y(static_cast<double>(values[i])));
      continue;
    }
    svg.polyline(run, style);
    if (run.size() == 1) svg.circle(run[0].first, run[0].second, 1.6, "dot " + style);
    run.clear();
  }
}

// One translucent band a pair of levels, outermost first, so that the middle is darkest.
void draw_bands(Svg& svg, const Frame& frame, double first, const Fan::Forecast& forecast,
                std::size_t horizon) {
  const std::size_t levels = forecast.levels.size();
  const auto line = [&](std::size_t q) {
    return points_of(frame, first, std::span(forecast.quantiles_qh).subspan(q * horizon, horizon));
  };
  for (std::size_t low = 0; low + 1 < levels - low; ++low)
    svg.area(line(levels - 1 - low), line(low), "band f0");
}

void draw_axes(Svg& svg, const Frame& frame, const BacktestResult& result, const Fan& fan) {
  for (const double tick : round_ticks(frame.y.low, frame.y.high, 4)) {
    svg.line(kLeft, frame.y(tick), kRight, frame.y(tick), tick == 0.0 ? "axis" : "grid");
    svg.text(kLeft - 7, frame.y(tick) + 4, format_tick(tick), "tick", Anchor::end);
  }
  const std::int64_t first = fan.origin - std::ssize(fan.history),
                     last = fan.origin + std::ssize(fan.target) - 1;
  constexpr double kDateWidth = 74;
  const double origin = frame.x(static_cast<double>(fan.origin));
  svg.text(kLeft, kBottom + 18, result.date_of(first), "tick");
  svg.text(kRight, kBottom + 18, result.date_of(last), "tick", Anchor::end);
  if (origin > kLeft + 1.5 * kDateWidth &&
      origin < kRight - 1.5 * kDateWidth)  // where there is room between them
    svg.text(origin, kBottom + 18, result.date_of(fan.origin), "tick", Anchor::middle);
  svg.line(frame.x(static_cast<double>(fan.origin) - 0.5), kTop,
           frame.x(static_cast<double>(fan.origin) - 0.5), kBottom, "origin");
}

}  // namespace

std::string fan_plot(const BacktestResult& result, const Fan& fan) {
  const auto first = static_cast<double>(fan.origin - std::ssize(fan.history));
  const auto origin = static_cast<double>(fan.origin);
  const auto horizon = fan.target.size();
  const double last = std::max(origin + static_cast<double>(horizon) - 1.0, first + 1.0);
  const auto [low, high] = value_range(fan);
  const Frame frame{{first, last, kLeft, kRight}, {low, high, kBottom, kTop}};
  Svg svg(kWidth, kHeight, "Forecast of " + fan.series,
          fmt::format("history, truth and forecasts of series {} from {}", fan.series,
                      result.date_of(fan.origin)));
  draw_axes(svg, frame, result, fan);
  const Fan::Forecast& model = fan.forecasts.front();
  draw_bands(svg, frame, origin, model, horizon);
  draw_observed(svg, frame, first, fan.history, "line history");
  if (result.models > 0 && result.models < fan.forecasts.size())
    draw_observed(svg, frame, origin, fan.forecasts[result.models].median_h,
                  "line thin " + forecaster_style(result, result.models));
  draw_observed(svg, frame, origin, model.median_h, "line f0");
  draw_observed(svg, frame, origin, fan.target, "line truth");
  return svg.str();
}

}  // namespace shelfcast::eval
