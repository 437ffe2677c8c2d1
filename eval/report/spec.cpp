#include "eval/report/spec.h"

#include <fmt/format.h>

#include <cmath>

namespace shelfcast::eval {
namespace {

constexpr const char* kFont = "system-ui, 'Segoe UI', 'Noto Sans', 'DejaVu Sans', sans-serif";

Spec config() {
  const Spec axis = {
      {"domainColor", "var(--soft)"}, {"tickColor", "var(--soft)"},  {"gridColor", "var(--grid)"},
      {"labelColor", "var(--soft)"},  {"titleColor", "var(--soft)"}, {"labelFont", kFont},
      {"titleFont", kFont},           {"labelFontSize", 12},         {"titleFontSize", 12},
      {"titleFontWeight", "normal"},  {"labelLimit", 520},           {"titlePadding", 8}};
  return {{"axis", axis},
          {"legend", {{"labelColor", "var(--soft)"}, {"labelFont", kFont}, {"labelFontSize", 12}}},
          {"text", {{"font", kFont}, {"fontSize", 12}}}};
}

}  // namespace

double rounded(double value) {
  if (value == 0.0 || !std::isfinite(value)) return value;
  const double unit = std::pow(10.0, 5 - std::floor(std::log10(std::abs(value))));
  return std::round(value * unit) / unit;
}

Spec new_spec(double width, double height, const std::string& description) {
  return {{"description", description}, {"width", width},         {"height", height}, {"padding", 4},
          {"config", config()},         {"scales", Spec::array()}};
}

Spec linear_scale(const std::string& name, const std::string& range, const std::string& data,
                  const std::string& field, Zero zero) {
  return {{"name", name},
          {"type", "linear"},
          {"domain", {{"data", data}, {"field", field}}},
          {"range", range},
          {"zero", zero == Zero::included},
          {"nice", range == "height" || zero == Zero::included}};
}

Spec axis(const std::string& orient, const std::string& scale, const std::string& title) {
  Spec axis = {{"orient", orient}, {"scale", scale}};
  if (!title.empty()) axis["title"] = title;
  return axis;
}

Spec grid_axis(const std::string& orient, const std::string& scale, const std::string& title,
               const std::string& format) {
  Spec with_grid = axis(orient, scale, title);
  with_grid["grid"] = true;
  with_grid["domain"] = false;
  with_grid["ticks"] = false;
  with_grid["labelPadding"] = 6;
  with_grid["tickCount"] = 6;
  if (!format.empty()) with_grid["format"] = format;
  return with_grid;
}

Spec mark(const std::string& type, const std::string& data, const Spec& properties) {
  return {{"type", type}, {"from", {{"data", data}}}, {"encode", {{"enter", properties}}}};
}

Spec rule_at(const std::string& scale, double value) {
  const bool upright = scale == "x";
  Spec properties = {{scale, {{"scale", scale}, {"value", value}}},
                     {upright ? "y" : "x", {{"value", 0}}},
                     {upright ? "y2" : "x2", {{"signal", upright ? "height" : "width"}}},
                     {"stroke", {{"value", "var(--soft)"}}}};
  return {{"type", "rule"}, {"encode", {{"enter", properties}}}};
}

void add_style_scales(const std::vector<std::string>& names, Spec& spec) {
  const Spec dashes = {{1, 0}, {7, 5}, {2, 4}, {9, 4, 2, 4}, {12, 5}, {4, 3}};
  Spec colours = Spec::array();
  for (std::size_t i = 0; i < dashes.size(); ++i) colours.push_back(fmt::format("var(--f{})", i));
  spec["scales"].push_back({{"name", "colour"}, {"type", "ordinal"}, {"domain", names}, {"range", colours}});
  spec["scales"].push_back({{"name", "dash"}, {"type", "ordinal"}, {"domain", names}, {"range", dashes}});
}

Spec lines_by_name(const std::string& data, double width) {
  Spec line = mark("line", data + "_of_name",
                   {{"x", {{"scale", "x"}, {"field", "x"}}},
                    {"y", {{"scale", "y"}, {"field", "y"}}},
                    {"defined", {{"signal", "isValid(datum.y)"}}},
                    {"stroke", {{"scale", "colour"}, {"field", "name"}}},
                    {"strokeDash", {{"scale", "dash"}, {"field", "name"}}},
                    {"strokeWidth", {{"value", width}}},
                    {"strokeJoin", {{"value", "round"}}}});
  return {{"type", "group"},
          {"from", {{"facet", {{"name", data + "_of_name"}, {"data", data}, {"groupby", "name"}}}}},
          {"marks", Spec::array({line})}};
}

Spec dots(const std::string& data, double size) {
  return mark("symbol", data,
              {{"x", {{"scale", "x"}, {"field", "x"}}},
               {"y", {{"scale", "y"}, {"field", "y"}}},
               {"fill", {{"scale", "colour"}, {"field", "name"}}},
               {"size", {{"value", size}}},
               {"tooltip", {{"field", "tip"}}}});
}

}  // namespace shelfcast::eval
