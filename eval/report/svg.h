// A small writer of SVG: shapes with style classes, so that one style sheet serves light and dark screens.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace shelfcast::eval {

// Text safe inside HTML and SVG, attributes included.
std::string escape_html(const std::string& text);

using Points = std::vector<std::pair<double, double>>;  // x, y in pixels

enum class Anchor { start, middle, end };

// One drawing that scales with its column. `title` and `description` are what a screen reader says.
class Svg {
 public:
  Svg(double width, double height, const std::string& title, const std::string& description);

  // `style` is a list of classes of the page's style sheet. A non-empty `tip` appears on hovering.
  void line(double x1, double y1, double x2, double y2, const std::string& style);
  void rect(double x, double y, double width, double height, const std::string& style,
            const std::string& tip = {});
  void circle(double x, double y, double radius, const std::string& style, const std::string& tip = {});
  void text(double x, double y, const std::string& text, const std::string& style,
            Anchor anchor = Anchor::start);
  // Nothing for fewer than two points.
  void polyline(const Points& points, const std::string& style);
  // Between two lines of the same length.
  void area(const Points& upper, const Points& lower, const std::string& style);

  std::string str() const { return body_ + "</svg>\n"; }

 private:
  void finish_shape(const std::string& element, const std::string& tip);
  std::string body_;
};

// From data to pixels.
struct Axis {
  double low = 0.0, high = 1.0;   // data
  double start = 0.0, end = 1.0;  // pixels
  double operator()(double value) const { return start + (value - low) / (high - low) * (end - start); }
};

// Round numbers (1, 2 or 5 times a power of ten apart) within [low, high], about `count` of them.
std::vector<double> round_ticks(double low, double high, int count);

// "12,345", "3.142", "0.04213": four significant digits, thousands marked.
std::string format_number(double value);
// For axes: no digits that say nothing ("0.2", "10,000").
std::string format_tick(double value);
// Whole numbers: "12,345".
std::string format_count(double value);
// "12.3 %".
std::string format_percent(double share);

}  // namespace shelfcast::eval
