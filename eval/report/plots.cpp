#include "eval/report/plots.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "eval/report/svg.h"

namespace shelfcast::eval {
namespace {

constexpr std::size_t kStyles = 6;

void draw_value_axis(Svg& svg, const Axis& y, double left, double right) {
  for (const double tick : round_ticks(y.low, y.high, 4)) {
    svg.line(left, y(tick), right, y(tick), tick == 0.0 ? "axis" : "grid");
    svg.text(left - 8, y(tick) + 4, format_tick(tick), "tick", Anchor::end);
  }
}

// Labels at the right end of lines, moved apart where they would overlap.
struct EndLabel {
  double y;
  std::string text, style;
};
void draw_end_labels(Svg& svg, std::vector<EndLabel> labels, double x) {
  constexpr double kLineHeight = 17.0;
  std::ranges::sort(labels, {}, &EndLabel::y);
  for (std::size_t i = 1; i < labels.size(); ++i)
    labels[i].y = std::max(labels[i].y, labels[i - 1].y + kLineHeight);
  for (const EndLabel& label : labels) svg.text(x, label.y + 4, label.text, "label " + label.style);
}

struct HorizonLine {
  std::vector<double> step, value;
};

HorizonLine horizon_line(const ForecasterResult& forecaster, const std::string& metric) {
  HorizonLine line;
  for (const GroupScores& group : forecaster.groups) {
    if (group.group != "horizon") continue;
    const Score score = group.score(metric);
    if (!score.value) continue;
    line.step.push_back(std::stod(group.level));
    line.value.push_back(*score.value);
  }
  return line;
}

std::string shorten(const std::string& text, std::size_t characters) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool starts =
        (static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80U;  // not inside a UTF-8 sequence
    if (starts && ++count > characters) return text.substr(0, i) + "…";
  }
  return text;
}

}  // namespace

bool is_share(const std::string& metric) {
  return metric.starts_with("wape") || metric.starts_with("wql") || metric.starts_with("coverage");
}

std::string format_score(const std::string& metric, double value) {
  return is_share(metric) ? format_percent(value) : format_number(value);
}

std::vector<std::size_t> plotted_forecasters(const BacktestResult& result) {
  std::vector<std::size_t> order(result.forecasters.size());
  std::iota(order.begin(), order.end(), 0U);
  if (order.size() <= kStyles) return order;
  const auto others = order.begin() + static_cast<std::ptrdiff_t>(std::min(result.models + 1, kStyles));
  std::stable_sort(others, order.end(), [&](std::size_t a, std::size_t b) {
    const auto mae = [&](std::size_t i) {
      return result.forecasters[i].overall.score("mae").value.value_or(HUGE_VAL);
    };
    return mae(a) < mae(b);
  });
  order.resize(kStyles);
  std::ranges::sort(order);
  return order;
}

std::string forecaster_style(const BacktestResult& result, std::size_t index) {
  const std::vector<std::size_t> plotted = plotted_forecasters(result);
  const auto found = std::ranges::find(plotted, index);
  return found == plotted.end() ? "unplotted" : fmt::format("f{}", found - plotted.begin());
}

const GroupScores* find_group(const ForecasterResult& forecaster, const std::string& group,
                              const std::string& level) {
  const auto found = std::ranges::find_if(
      forecaster.groups, [&](const GroupScores& g) { return g.group == group && g.level == level; });
  return found == forecaster.groups.end() ? nullptr : &*found;
}

std::string horizon_plot(const BacktestResult& result, const std::string& metric) {
  constexpr double kWidth = 960, kHeight = 320, kLeft = 64, kRight = 800, kTop = 16, kBottom = 276;
  std::vector<HorizonLine> lines;
  double top = 0.0;
  const std::vector<std::size_t> plotted = plotted_forecasters(result);
  for (const std::size_t index : plotted) {
    lines.push_back(horizon_line(result.forecasters[index], metric));
    for (const double value : lines.back().value) top = std::max(top, value);
  }
  if (top == 0.0) return "<p class=\"empty\">n = 0: no step could be judged.</p>\n";
  Svg svg(kWidth, kHeight, "Error by horizon step", metric + " of forecasters at each step ahead");
  const auto steps = static_cast<double>(result.judgement.horizon);
  const Axis x{1.0, std::max(steps, 2.0), kLeft, kRight}, y{0.0, top * 1.06, kBottom, kTop};
  draw_value_axis(svg, y, kLeft, kRight);
  for (const double tick : round_ticks(1.0, steps, 8))
    if (tick == std::floor(tick)) svg.text(x(tick), kBottom + 20, format_count(tick), "tick", Anchor::middle);
  svg.text((kLeft + kRight) / 2, kHeight - 6, "steps ahead", "caption", Anchor::middle);
  std::vector<EndLabel> labels;
  for (std::size_t i = lines.size(); i-- > 0;) {  // the model last, on top
    Points points;
    for (std::size_t k = 0; k < lines[i].step.size(); ++k)
      points.emplace_back(x(lines[i].step[k]), y(lines[i].value[k]));
    const ForecasterResult& forecaster = result.forecasters[plotted[i]];
    const std::string style = forecaster_style(result, plotted[i]);
    svg.polyline(points, "line " + style);
    for (std::size_t k = 0; k < points.size(); ++k)
      svg.circle(points[k].first, points[k].second, points.size() == 1 ? 4 : 2, "dot " + style,
                 fmt::format("{}, step {:.0f}: {}", forecaster.name, lines[i].step[k],
                             format_number(lines[i].value[k])));
    if (!points.empty()) labels.push_back({points.back().second, forecaster.name, style});
  }
  draw_end_labels(svg, labels, kRight + 12);
  return svg.str();
}

std::string level_plot(const BacktestResult& result, const std::string& group,
                       const std::vector<std::string>& levels, const std::string& metric) {
  constexpr double kWidth = 960, kLeft = 190, kRight = 880, kBar = 9, kGap = 14, kTop = 8;
  const std::vector<std::size_t> plotted = plotted_forecasters(result);
  const double height_of_level = kBar * static_cast<double>(plotted.size()) + kGap;
  const double bottom = kTop + height_of_level * static_cast<double>(levels.size());
  double top = 0.0;
  for (const std::size_t i : plotted)
    for (const std::string& level : levels)
      if (const GroupScores* scores = find_group(result.forecasters[i], group, level))
        top = std::max(top, scores->score(metric).value.value_or(0.0));
  if (top == 0.0) top = 1.0;
  Svg svg(kWidth, bottom + 28, "Error by " + group, metric + " of forecasters for each " + group);
  const Axis x{0.0, top * 1.04, kLeft, kRight};
  for (const double tick : round_ticks(0.0, x.high, 6)) {
    svg.line(x(tick), kTop, x(tick), bottom, tick == 0.0 ? "axis" : "grid");
    svg.text(x(tick), bottom + 18, is_share(metric) ? fmt::format("{:g} %", 100 * tick) : format_tick(tick),
             "tick", Anchor::middle);
  }
  double at = kTop;
  for (const std::string& level : levels) {
    svg.text(kLeft - 10, at + (height_of_level - kGap) / 2 + 8, shorten(level, 24), "label", Anchor::end);
    double bar = at + kGap / 2;
    for (const std::size_t i : plotted) {
      const GroupScores* scores = find_group(result.forecasters[i], group, level);
      const Score score = scores != nullptr ? scores->score(metric) : Score{};
      const double row = bar;
      bar += kBar;
      if (!score.value) {
        if (i == 0) svg.text(kLeft + 6, at + height_of_level / 2 + 4, fmt::format("n = {}", score.n), "tick");
        continue;
      }
      const std::string tip =
          fmt::format("{}, {}: {} {} (n = {})", level, result.forecasters[i].name, metric,
                      format_score(metric, *score.value), format_count(static_cast<double>(score.n)));
      svg.rect(kLeft, row, x(*score.value) - kLeft, kBar - 1, "bar " + forecaster_style(result, i), tip);
      if (i == 0) svg.text(x(*score.value) + 5, row + kBar - 1, format_score(metric, *score.value), "value");
    }
    at += height_of_level;
  }
  return svg.str();
}

std::string comparison_plot(const std::vector<Comparison>& comparisons) {
  constexpr double kWidth = 960, kLeft = 300, kRight = 840, kRow = 30, kTop = 10;
  double low = -0.02, high = 0.02;
  for (const Comparison& c : comparisons) {
    low = std::min(low, c.low.value_or(c.difference.value_or(0.0)));
    high = std::max(high, c.high.value_or(c.difference.value_or(0.0)));
  }
  const double margin = 0.06 * (high - low), bottom = kTop + kRow * static_cast<double>(comparisons.size());
  const Axis x{low - margin, high + margin, kLeft, kRight};
  Svg svg(kWidth, bottom + 44, "Differences from the baselines",
          "relative difference of errors with 95 % intervals");
  for (const double tick : round_ticks(x.low, x.high, 7)) {
    svg.line(x(tick), kTop, x(tick), bottom, tick == 0.0 ? "axis" : "grid");
    svg.text(x(tick), bottom + 18, tick == 0.0 ? "0 %" : fmt::format("{:+g} %", 100 * tick), "tick",
             Anchor::middle);
  }
  svg.text(x(0.0) - 10, bottom + 38, "← model better", "caption", Anchor::end);
  svg.text(x(0.0) + 10, bottom + 38, "model worse →", "caption");
  for (std::size_t i = 0; i < comparisons.size(); ++i) {
    const Comparison& c = comparisons[i];
    const double y = kTop + kRow * (static_cast<double>(i) + 0.5);
    std::string metric = c.metric;
    std::ranges::transform(metric, metric.begin(),
                           [](unsigned char letter) { return static_cast<char>(std::toupper(letter)); });
    svg.text(kLeft - 12, y + 4, fmt::format("{} against {}", metric, shorten(c.baseline, 24)), "label",
             Anchor::end);
    if (!c.difference) {
      svg.text(x(0.0) + 8, y + 4, "n = 0", "tick");
      continue;
    }
    const std::string style = to_string(c.verdict);
    if (c.low && c.high) svg.line(x(*c.low), y, x(*c.high), y, "whisker " + style);
    svg.circle(x(*c.difference), y, 5, "mark " + style, fmt::format("{:+.2f} %", 100 * *c.difference));
    svg.text(kRight + 14, y + 4, fmt::format("{:+.1f} %  {}", 100 * *c.difference, style), "value");
  }
  return svg.str();
}

std::string calibration_plot(const ForecasterResult& forecaster) {
  constexpr double kSize = 340, kLeft = 52, kRight = 326, kTop = 12, kBottom = 286;
  Svg svg(kSize, kSize, "Calibration of the quantiles",
          "share of targets at or below each quantile against its level");
  const Axis x{0.0, 1.0, kLeft, kRight}, y{0.0, 1.0, kBottom, kTop};
  for (const double tick : {0.0, 0.2, 0.4, 0.6, 0.8, 1.0}) {
    svg.line(kLeft, y(tick), kRight, y(tick), tick == 0.0 ? "axis" : "grid");
    svg.text(kLeft - 8, y(tick) + 4, fmt::format("{:g}", tick), "tick", Anchor::end);
    svg.text(x(tick), kBottom + 18, fmt::format("{:g}", tick), "tick", Anchor::middle);
  }
  svg.line(x(0), y(0), x(1), y(1), "ideal");
  Points points;
  for (const double level : forecaster.levels) {
    const Score score = forecaster.overall.score(fmt::format("below@{:g}", level));
    if (!score.value) continue;
    points.emplace_back(x(level), y(*score.value));
  }
  svg.polyline(points, "line f0");
  for (const auto& [px, py] : points) svg.circle(px, py, 4, "dot f0");
  svg.text((kLeft + kRight) / 2, kBottom + 42, "quantile level", "caption", Anchor::middle);
  return svg.str();
}

}  // namespace shelfcast::eval
