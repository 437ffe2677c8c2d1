#include "eval/report/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace shelfcast::eval {
namespace {

std::string path_of(const Points& points) {
  std::string path;
  for (const auto& [x, y] : points) path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : " L", x, y);
  return path;
}

std::string with_thousands(const std::string& number) {
  const std::size_t point = std::min(number.find('.'), number.size());
  std::string marked;
  for (std::size_t i = 0; i < number.size(); ++i) {
    const bool inside = i > 0 && i < point && number[i - 1] != '-';
    if (inside && (point - i) % 3 == 0) marked += ',';
    marked += number[i];
  }
  return marked;
}

}  // namespace

std::string escape_html(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      case '\'':
        safe += "&#39;";
        break;
      default:
        safe += c;
    }
  }
  return safe;
}

Svg::Svg(double width, double height, const std::string& title, const std::string& description)
    : body_(fmt::format(
          "<svg viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" aria-label=\"{}\" preserveAspectRatio=\"xMinYMin "
          "meet\">"
          "<desc>{}</desc>\n",
          width, height, escape_html(title), escape_html(description))) {}

void Svg::finish_shape(const std::string& element, const std::string& tip) {
  if (tip.empty())
    body_ += fmt::format("<{}/>\n", element);
  else
    body_ += fmt::format("<{}><title>{}</title></{}>\n", element, escape_html(tip),
                         element.substr(0, element.find(' ')));
}

void Svg::line(double x1, double y1, double x2, double y2, const std::string& style) {
  finish_shape(fmt::format("line class=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"", style,
                           x1, y1, x2, y2),
               {});
}

void Svg::rect(double x, double y, double width, double height, const std::string& style,
               const std::string& tip) {
  finish_shape(fmt::format("rect class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"",
                           style, x, y, std::max(width, 0.0), std::max(height, 0.0)),
               tip);
}

void Svg::circle(double x, double y, double radius, const std::string& style, const std::string& tip) {
  finish_shape(
      fmt::format("circle class=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{:.1f}\"", style, x, y, radius), tip);
}

void Svg::text(double x, double y, const std::string& text, const std::string& style, Anchor anchor) {
  const char* where = anchor == Anchor::start ? "start" : anchor == Anchor::middle ? "middle" : "end";
  body_ += fmt::format("<text class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", style,
                       x, y, where, escape_html(text));
}

void Svg::polyline(const Points& points, const std::string& style) {
  if (points.size() < 2) return;
  finish_shape(fmt::format("path class=\"{}\" fill=\"none\" d=\"{}\"", style, path_of(points)), {});
}

void Svg::area(const Points& upper, const Points& lower, const std::string& style) {
  if (upper.size() < 2) return;
  Points outline = upper;
  outline.insert(outline.end(), lower.rbegin(), lower.rend());
  finish_shape(fmt::format("path class=\"{}\" d=\"{} Z\"", style, path_of(outline)), {});
}

std::vector<double> round_ticks(double low, double high, int count) {
  if (!(high > low)) return {low};
  const double rough = (high - low) / count;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  const double digit = rough / power;
  const double step = power * (digit < 1.5 ? 1.0 : digit < 3.5 ? 2.0 : digit < 7.5 ? 5.0 : 10.0);
  std::vector<double> ticks;
  for (double i = std::ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i += 1.0)
    ticks.push_back(i * step + 0.0);  // never -0
  return ticks;
}

std::string format_number(double value) {
  if (value == 0.0) return "0";
  const int magnitude = static_cast<int>(std::floor(std::log10(std::abs(value))));
  return with_thousands(fmt::format("{:.{}f}", value, std::clamp(3 - magnitude, 0, 8)));
}

std::string format_tick(double value) {
  return std::abs(value) >= 10'000 ? format_count(value) : with_thousands(fmt::format("{:.6g}", value));
}

std::string format_count(double value) { return with_thousands(fmt::format("{:.0f}", value)); }

std::string format_percent(double share) { return fmt::format("{:.1f} %", 100.0 * share); }

}  // namespace shelfcast::eval
