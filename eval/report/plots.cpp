#include "eval/report/plots.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "eval/report/main_table.h"
#include "eval/report/spec.h"
#include "eval/report/text.h"

namespace shelfcast::eval {
namespace {

constexpr std::size_t kStyles = 6;
constexpr std::size_t kLevelCharacters = 28, kForecasterCharacters = 22;  // of names on axes

// Every plotted forecaster's name, in order, and its colour and dash as scales.
void add_forecaster_scales(const BacktestResult& result, Spec& spec) {
  std::vector<std::string> names;
  for (const std::size_t index : plotted_forecasters(result)) names.push_back(result.forecasters[index].name);
  add_style_scales(names, spec);
}

std::string described(const std::string& level, const std::string& name, const Score& score) {
  return fmt::format("{}, {}: {} {} (n = {})", level, name, title_of(score.metric),
                     format_score(score.metric, *score.value), format_count(static_cast<double>(score.n)));
}

Spec whole_axis(const std::string& title) {
  Spec whole = axis("bottom", "x", title);
  whole["format"] = "d";
  whole["tickMinStep"] = 1;
  return whole;
}

const char* number_format(const std::string& metric) { return is_share(metric) ? "~%" : "~g"; }

}  // namespace

std::vector<std::size_t> plotted_forecasters(const BacktestResult& result) {
  std::vector<std::size_t> order(result.forecasters.size());
  std::iota(order.begin(), order.end(), 0U);
  if (order.size() <= kStyles) return order;
  // Of many models those with the smallest error, so that a baseline or two stand beside them.
  const auto by_mae = [&](std::size_t a, std::size_t b) {
    const auto mae = [&](std::size_t i) {
      return result.forecasters[i].overall.score("mae").value.value_or(HUGE_VAL);
    };
    return mae(a) < mae(b);
  };
  const std::size_t models = std::min(result.models, kStyles - 2);
  std::vector<std::size_t> plotted{order.begin(), order.begin() + static_cast<std::ptrdiff_t>(models)};
  std::vector<std::size_t> others{order.begin() + static_cast<std::ptrdiff_t>(result.models), order.end()};
  if (!others.empty()) {  // the first baseline whatever its error
    plotted.push_back(others.front());
    others.erase(others.begin());
  }
  std::ranges::stable_sort(others, by_mae);
  for (const std::size_t other : others)
    if (plotted.size() < kStyles) plotted.push_back(other);
  std::ranges::sort(plotted);
  return plotted;
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

Spec horizon_plot(const BacktestResult& result, const std::string& metric) {
  Spec rows = Spec::array();
  for (const std::size_t index : plotted_forecasters(result)) {
    const ForecasterResult& forecaster = result.forecasters[index];
    for (const GroupScores& group : forecaster.groups) {
      if (group.group != "horizon") continue;
      const Score score = group.score(metric);
      if (score.value)
        rows.push_back({{"x", std::stod(group.level)},
                        {"y", rounded(*score.value)},
                        {"name", forecaster.name},
                        {"tip", described("step " + group.level, forecaster.name, score)}});
    }
  }
  if (rows.empty()) return {};
  Spec spec = new_spec(860, 280, fmt::format("{} of forecasters at each step ahead", title_of(metric)));
  add_forecaster_scales(result, spec);
  spec["data"] = Spec::array({{{"name", "points"}, {"values", rows}}});
  spec["scales"].push_back(linear_scale("x", "width", "points", "x", Zero::free));
  spec["scales"].push_back(linear_scale("y", "height", "points", "y", Zero::included));
  spec["axes"] = Spec::array({whole_axis("steps ahead"), grid_axis("left", "y", title_of(metric))});
  spec["marks"] = Spec::array({lines_by_name("points", 2.2), dots("points", 14)});
  return spec;
}

Spec level_plot(const BacktestResult& result, const std::string& group,
                const std::vector<std::string>& levels, const std::string& metric) {
  Spec rows = Spec::array(), empty = Spec::array();
  const std::vector<std::size_t> plotted = plotted_forecasters(result);
  const std::vector<std::string> names = shorten_apart(levels, kLevelCharacters);
  for (std::size_t l = 0; l < levels.size(); ++l) {
    const std::string& level = levels[l];
    bool any = false;
    for (const std::size_t i : plotted) {
      const GroupScores* scores = find_group(result.forecasters[i], group, level);
      const Score score = scores != nullptr ? scores->score(metric) : Score{};
      any = any || score.value;
      if (score.value)
        rows.push_back({{"level", names[l]},
                        {"name", result.forecasters[i].name},
                        {"x", rounded(*score.value)},
                        {"tip", described(level, result.forecasters[i].name, score)}});
    }
    if (!any) empty.push_back({{"level", names[l]}});
  }
  if (rows.empty()) return {};
  const double band = 10.0 * static_cast<double>(plotted.size()) + 14.0;
  Spec spec = new_spec(700, band * static_cast<double>(levels.size()),
                       fmt::format("{} of forecasters for each {}", title_of(metric), group));
  add_forecaster_scales(result, spec);
  spec["data"] = Spec::array({{{"name", "bars"}, {"values", rows}}, {{"name", "empty"}, {"values", empty}}});
  spec["scales"].push_back(linear_scale("x", "width", "bars", "x", Zero::included));
  spec["scales"].push_back(
      {{"name", "y"}, {"type", "band"}, {"domain", names}, {"range", "height"}, {"paddingInner", 0.24}});
  spec["axes"] =
      Spec::array({grid_axis("bottom", "x", title_of(metric), number_format(metric)), axis("left", "y", "")});
  Spec inner = {{"name", "row"},
                {"type", "band"},
                {"domain", spec["scales"][0]["domain"]},
                {"range", "height"},
                {"paddingInner", 0.1}};
  Spec bar = mark("rect", "level_bars",
                  {{"x", {{"scale", "x"}, {"value", 0}}},
                   {"x2", {{"scale", "x"}, {"field", "x"}}},
                   {"y", {{"scale", "row"}, {"field", "name"}}},
                   {"height", {{"scale", "row"}, {"band", 1}}},
                   {"fill", {{"scale", "colour"}, {"field", "name"}}},
                   {"tooltip", {{"field", "tip"}}}});
  Spec rows_of_level = {
      {"type", "group"},
      {"from", {{"facet", {{"name", "level_bars"}, {"data", "bars"}, {"groupby", "level"}}}}},
      {"encode",
       {{"enter", {{"y", {{"scale", "y"}, {"field", "level"}}}, {"height", {{"scale", "y"}, {"band", 1}}}}}}},
      {"signals", Spec::array({{{"name", "height"}, {"update", "bandwidth('y')"}}})},
      {"scales", Spec::array({inner})},
      {"marks", Spec::array({bar})}};
  Spec nothing = mark("text", "empty",
                      {{"x", {{"value", 6}}},
                       {"y", {{"scale", "y"}, {"field", "level"}, {"band", 0.5}}},
                       {"text", {{"value", "n = 0"}}},
                       {"baseline", {{"value", "middle"}}},
                       {"fill", {{"value", "var(--soft)"}}}});
  spec["marks"] = Spec::array({rows_of_level, nothing});
  return spec;
}

Spec heat_map(const BacktestResult& result, const std::string& group, const std::vector<std::string>& levels,
              const std::string& metric) {
  Spec rows = Spec::array();
  std::vector<std::string> forecasters;
  for (const ForecasterResult& forecaster : result.forecasters) forecasters.push_back(forecaster.name);
  const std::vector<std::string> columns = shorten_apart(forecasters, kForecasterCharacters),
                                 names = shorten_apart(levels, kLevelCharacters);
  for (std::size_t l = 0; l < levels.size(); ++l) {
    const std::string& level = levels[l];
    double best = HUGE_VAL;
    for (std::size_t i = result.models; i < forecasters.size(); ++i)
      if (const GroupScores* scores = find_group(result.forecasters[i], group, level);
          scores != nullptr && !combines_models(forecasters[i]))
        best = std::min(best, scores->score(metric).value.value_or(HUGE_VAL));
    for (std::size_t i = 0; i < forecasters.size(); ++i) {
      const GroupScores* scores = find_group(result.forecasters[i], group, level);
      const Score score = scores != nullptr ? scores->score(metric) : Score{metric, {}, 0};
      // Whose backtest has no such group was judged on it all the same: nothing is said of how.
      const std::string nothing = scores != nullptr ? "n = 0" : "–";
      const bool compared = score.value && best > 0 && std::isfinite(best);
      const double change = compared ? *score.value / best - 1.0 : 0.0;
      const std::string against =
          compared ? fmt::format("; {:+.1f} % against the best baseline", 100 * change) : "";
      rows.push_back({{"level", names[l]},
                      {"name", columns[i]},
                      {"text", score.value ? format_score(metric, *score.value) : nothing},
                      {"colour", change <= 0 ? "var(--good)" : "var(--bad)"},
                      {"strength", rounded(std::min(0.75, 2.0 * std::abs(change)))},
                      {"tip", score.value ? described(level, forecasters[i], score) + against : nothing}});
    }
  }
  if (rows.empty()) return {};
  Spec spec = new_spec(74.0 * static_cast<double>(columns.size()), 26.0 * static_cast<double>(names.size()),
                       fmt::format("{} by {} and forecaster", title_of(metric), group));
  spec["data"] = Spec::array({{{"name", "cells"}, {"values", rows}}});
  spec["scales"] = Spec::array({{{"name", "x"}, {"type", "band"}, {"domain", columns}, {"range", "width"}},
                                {{"name", "y"}, {"type", "band"}, {"domain", names}, {"range", "height"}}});
  Spec top = axis("top", "x", "");
  top["labelAngle"] = -35;
  top["labelAlign"] = "left";
  top["labelBaseline"] = "middle";
  spec["axes"] = Spec::array({top, axis("left", "y", "")});
  const Spec x = {{"scale", "x"}, {"field", "name"}}, y = {{"scale", "y"}, {"field", "level"}};
  Spec middle_x = x, middle_y = y;
  middle_x["band"] = middle_y["band"] = 0.5;
  spec["marks"] = Spec::array({mark("rect", "cells",
                                    {{"x", x},
                                     {"y", y},
                                     {"width", {{"scale", "x"}, {"band", 1}, {"offset", -2}}},
                                     {"height", {{"scale", "y"}, {"band", 1}, {"offset", -2}}},
                                     {"fill", {{"field", "colour"}}},
                                     {"fillOpacity", {{"field", "strength"}}},
                                     {"tooltip", {{"field", "tip"}}}}),
                               mark("text", "cells",
                                    {{"x", middle_x},
                                     {"y", middle_y},
                                     {"text", {{"field", "text"}}},
                                     {"align", {{"value", "center"}}},
                                     {"baseline", {{"value", "middle"}}},
                                     {"fill", {{"value", "var(--ink)"}}}})});
  return spec;
}

Spec comparison_plot(const std::vector<Comparison>& comparisons) {
  Spec rows = Spec::array(), names = Spec::array();
  std::vector<std::string> baselines;
  for (const Comparison& c : comparisons) baselines.push_back(c.baseline);
  baselines = shorten_apart(baselines, kLevelCharacters);
  for (std::size_t i = 0; i < comparisons.size(); ++i) {
    const Comparison& c = comparisons[i];
    const std::string name = fmt::format("{} against {}", title_of(c.metric), baselines[i]);
    names.push_back(name);
    if (!c.difference) continue;
    rows.push_back(
        {{"name", name},
         {"x", rounded(*c.difference)},
         {"low", rounded(c.low.value_or(*c.difference))},
         {"high", rounded(c.high.value_or(*c.difference))},
         {"colour", fmt::format("var(--{})", c.verdict == Verdict::better  ? "good"
                                             : c.verdict == Verdict::worse ? "bad"
                                                                           : "unclear")},
         {"tip", fmt::format("{}: {:+.2f} %, {}", name, 100 * *c.difference, to_string(c.verdict))},
         {"text", fmt::format("{:+.1f} %  {}", 100 * *c.difference, to_string(c.verdict))}});
  }
  if (rows.empty()) return {};
  Spec spec = new_spec(520, 26.0 * static_cast<double>(names.size()),
                       "relative difference of errors with 95 % intervals");
  spec["data"] = Spec::array({{{"name", "rows"}, {"values", rows}}});
  spec["scales"] = Spec::array(
      {{{"name", "x"},
        {"type", "linear"},
        {"domain", {{"data", "rows"}, {"fields", {"low", "high"}}}},
        {"range", "width"},
        {"zero", true},
        {"nice", true}},
       {{"name", "y"}, {"type", "point"}, {"domain", names}, {"range", "height"}, {"padding", 0.5}}});
  spec["axes"] = Spec::array(
      {grid_axis("bottom", "x", "relative difference: left of 0 the model's error is smaller", "~%"),
       axis("left", "y", "")});
  const Spec y = {{"scale", "y"}, {"field", "name"}}, colour = {{"field", "colour"}};
  spec["marks"] = Spec::array({rule_at("x", 0.0),
                               mark("rule", "rows",
                                    {{"x", {{"scale", "x"}, {"field", "low"}}},
                                     {"x2", {{"scale", "x"}, {"field", "high"}}},
                                     {"y", y},
                                     {"stroke", colour},
                                     {"strokeWidth", {{"value", 2.5}}}}),
                               mark("symbol", "rows",
                                    {{"x", {{"scale", "x"}, {"field", "x"}}},
                                     {"y", y},
                                     {"fill", colour},
                                     {"size", {{"value", 70}}},
                                     {"tooltip", {{"field", "tip"}}}}),
                               mark("text", "rows",
                                    {{"x", {{"signal", "width"}, {"offset", 14}}},
                                     {"y", y},
                                     {"text", {{"field", "text"}}},
                                     {"baseline", {{"value", "middle"}}},
                                     {"fill", {{"value", "var(--soft)"}}}})});
  return spec;
}

Spec calibration_plot(const BacktestResult& result) {
  Spec rows = Spec::array();
  for (const std::size_t i : plotted_forecasters(result)) {
    const ForecasterResult& forecaster = result.forecasters[i];
    for (const double level : forecaster.levels) {
      const Score score = forecaster.overall.score(fmt::format("below@{:g}", level));
      if (score.value)
        rows.push_back({{"x", level},
                        {"y", rounded(*score.value)},
                        {"name", forecaster.name},
                        {"tip", fmt::format("{}: {} at or below the quantile of {:g}", forecaster.name,
                                            format_percent(*score.value), level)}});
    }
  }
  if (rows.empty()) return {};
  Spec spec = new_spec(330, 330, "share of targets at or below each quantile against its level");
  add_forecaster_scales(result, spec);
  spec["data"] = Spec::array({{{"name", "points"}, {"values", rows}},
                              {{"name", "ideal"}, {"values", {{{"x", 0}, {"y", 0}}, {{"x", 1}, {"y", 1}}}}}});
  for (const char* name : {"x", "y"})
    spec["scales"].push_back({{"name", name},
                              {"type", "linear"},
                              {"domain", {0, 1}},
                              {"range", std::string(name) == "x" ? "width" : "height"}});
  spec["axes"] = Spec::array(
      {axis("bottom", "x", "quantile level"), grid_axis("left", "y", "share of targets at or below")});
  spec["marks"] = Spec::array({mark("line", "ideal",
                                    {{"x", {{"scale", "x"}, {"field", "x"}}},
                                     {"y", {{"scale", "y"}, {"field", "y"}}},
                                     {"stroke", {{"value", "var(--soft)"}}},
                                     {"strokeDash", {{"value", {3, 4}}}}}),
                               lines_by_name("points", 2.2), dots("points", 44)});
  return spec;
}

Spec curve_plot(const std::vector<Curve>& curves, const std::string& y_title) {
  Spec rows = Spec::array();
  std::vector<std::string> names;
  for (const Curve& curve : curves) {
    if (curve.x.empty()) continue;
    names.push_back(curve.name);
    for (std::size_t i = 0; i < curve.x.size(); ++i)
      rows.push_back({{"x", curve.x[i]},
                      {"y", rounded(curve.y[i])},
                      {"name", curve.name},
                      {"tip", fmt::format("{}, step {:g}: {:.6g}", curve.name, curve.x[i], curve.y[i])}});
  }
  if (rows.empty()) return {};
  Spec spec = new_spec(860, 240, y_title + " over training steps");
  add_style_scales(names, spec);
  spec["data"] = Spec::array({{{"name", "points"}, {"values", rows}}});
  spec["scales"].push_back(linear_scale("x", "width", "points", "x", Zero::included));
  spec["scales"].push_back(linear_scale("y", "height", "points", "y", Zero::free));
  spec["axes"] = Spec::array({axis("bottom", "x", "training step"), grid_axis("left", "y", y_title)});
  spec["marks"] = Spec::array({lines_by_name("points", 1.8), dots("points", rows.size() < 200 ? 12 : 1)});
  if (names.size() > 1)
    spec["legends"] = Spec::array({{{"stroke", "colour"}, {"strokeDash", "dash"}, {"symbolType", "stroke"}}});
  return spec;
}

}  // namespace shelfcast::eval
