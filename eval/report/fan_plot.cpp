// The plot of one series' forecasts from one origin.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "eval/report/spec.h"

namespace shelfcast::eval {
namespace {

// One point a step; NaN becomes null, which breaks lines.
void add_points(Spec& rows, std::int64_t first, std::span<const float> values) {
  for (std::size_t i = 0; i < values.size(); ++i)
    rows.push_back({{"x", first + static_cast<std::int64_t>(i)},
                    {"y", std::isnan(values[i]) ? Spec() : Spec(rounded(double{values[i]}))}});
}

// One translucent band a pair of levels, outermost first, so that the middle is darkest.
void add_bands(const Fan& fan, const Fan::Forecast& forecast, Spec& spec) {
  const std::size_t horizon = fan.target.size(), levels = forecast.levels.size();
  for (std::size_t low = 0; low + 1 < levels - low; ++low) {
    const std::size_t high = levels - 1 - low;
    Spec rows = Spec::array();
    for (std::size_t h = 0; h < horizon; ++h)
      rows.push_back({{"x", fan.origin + static_cast<std::int64_t>(h)},
                      {"low", rounded(double{forecast.quantiles_qh[low * horizon + h]})},
                      {"high", rounded(double{forecast.quantiles_qh[high * horizon + h]})}});
    const std::string name = fmt::format("band{}", low);
    spec["data"].push_back({{"name", name}, {"values", rows}});
    spec["marks"].push_back(mark("area", name,
                                 {{"x", {{"scale", "x"}, {"field", "x"}}},
                                  {"y", {{"scale", "y"}, {"field", "low"}}},
                                  {"y2", {{"scale", "y"}, {"field", "high"}}},
                                  {"fill", {{"value", "var(--f0)"}}},
                                  {"fillOpacity", {{"value", 0.16}}}}));
  }
}

struct Stroke {
  std::string colour;
  double width;
  Spec dash = Spec::array({1, 0});
};

void add_line(const std::string& name, std::int64_t first, std::span<const float> values,
              const Stroke& stroke, Spec& spec) {
  Spec rows = Spec::array();
  add_points(rows, first, values);
  spec["data"].push_back({{"name", name}, {"values", rows}});
  if (values.size() == 1) {  // a line of one step has no length
    if (std::isnan(values.front())) return;
    spec["marks"].push_back(mark("symbol", name,
                                 {{"x", {{"scale", "x"}, {"field", "x"}}},
                                  {"y", {{"scale", "y"}, {"field", "y"}}},
                                  {"fill", {{"value", stroke.colour}}},
                                  {"size", {{"value", 40}}}}));
    return;
  }
  spec["marks"].push_back(mark("line", name,
                               {{"x", {{"scale", "x"}, {"field", "x"}}},
                                {"y", {{"scale", "y"}, {"field", "y"}}},
                                {"defined", {{"signal", "isValid(datum.y)"}}},
                                {"stroke", {{"value", stroke.colour}}},
                                {"strokeWidth", {{"value", stroke.width}}},
                                {"strokeDash", {{"value", stroke.dash}}}}));
}

// The first baseline's forecast; nullptr where there is none.
const Fan::Forecast* baseline_of(const BacktestResult& result, const Fan& fan) {
  if (result.models == 0 || result.models >= result.forecasters.size()) return nullptr;
  const auto found =
      std::ranges::find(fan.forecasts, result.forecasters[result.models].name, &Fan::Forecast::name);
  return found == fan.forecasts.end() ? nullptr : &*found;
}

// The largest of everything drawn, and the smallest where returns made demand negative.
std::pair<double, double> value_range(const Fan& fan, const Fan::Forecast* baseline) {
  double low = 0.0, high = 0.0;
  const Fan::Forecast& model = fan.forecasts.front();
  for (const std::vector<float>* values : {&fan.history, &fan.target, &model.median_h, &model.quantiles_qh,
                                           &(baseline != nullptr ? *baseline : model).median_h}) {
    for (const float value : *values) {
      if (std::isnan(value)) continue;
      low = std::min(low, double{value});
      high = std::max(high, double{value});
    }
  }
  return {low, high > low ? high : 1.0};
}

// Dates where the drawing begins, turns and ends: of one step ahead, or without a history, two of them.
Spec date_axis(const BacktestResult& result, const Fan& fan, std::int64_t first, std::int64_t last) {
  const std::set<std::int64_t> steps = {first, fan.origin, last};
  std::string labels = "{";
  for (const std::int64_t step : steps) labels += fmt::format("'{}':'{}',", step, result.date_of(step));
  labels.back() = '}';
  Spec dates = axis("bottom", "x", "");
  dates["values"] = steps;
  dates["encode"] = {
      {"labels", {{"update", {{"text", {{"signal", fmt::format("({})[datum.value]", labels)}}}}}}}};
  dates["labelBound"] = false;
  dates["labelFlush"] = true;
  dates["labelOverlap"] = true;
  return dates;
}

}  // namespace

Spec fan_plot(const BacktestResult& result, const Fan& fan) {
  const std::int64_t first = fan.origin - std::ssize(fan.history),
                     last = fan.origin + std::ssize(fan.target) - 1;
  const Fan::Forecast* baseline = baseline_of(result, fan);
  const auto [low, high] = value_range(fan, baseline);
  Spec spec = new_spec(440, 190,
                       fmt::format("history, truth and forecasts of series {} from {}", fan.series,
                                   result.date_of(fan.origin)));
  spec["data"] = Spec::array();
  spec["marks"] = Spec::array();
  spec["scales"] = Spec::array(
      {{{"name", "x"},
        {"type", "linear"},
        {"domain", {first, std::max(last, first + 1)}},
        {"range", "width"},
        {"zero", false}},
       {{"name", "y"}, {"type", "linear"}, {"domain", {low, high}}, {"range", "height"}, {"nice", true}}});
  Spec values = grid_axis("left", "y", "");
  values["tickCount"] = 4;
  spec["axes"] = Spec::array({date_axis(result, fan, first, last), values});
  spec["marks"].push_back(rule_at("x", static_cast<double>(fan.origin) - 0.5));
  spec["marks"].back()["encode"]["enter"]["strokeDash"] = {{"value", {2, 4}}};
  const Fan::Forecast& model = fan.forecasts.front();
  add_bands(fan, model, spec);
  add_line("history", first, fan.history, {"var(--soft)", 1.1}, spec);
  if (baseline != nullptr) {
    const std::string colour = fmt::format("var(--{})", forecaster_style(result, result.models));
    add_line("baseline", fan.origin, baseline->median_h, {colour, 1.4, Spec::array({7, 5})}, spec);
  }
  add_line("median", fan.origin, model.median_h, {"var(--f0)", 2.4}, spec);
  add_line("truth", fan.origin, fan.target, {"var(--ink)", 1.7}, spec);
  return spec;
}

}  // namespace shelfcast::eval
