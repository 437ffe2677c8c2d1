// The plots of a report, each as a specification that Vega draws.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "eval/result.h"

namespace shelfcast::eval {

// A Vega specification (https://vega.github.io/vega/docs/specification); null where there is nothing to draw.
// Colours are variables of the page's style sheet, so that one drawing serves light and dark screens and
// paper.
using Spec = nlohmann::ordered_json;

// The forecasters that plots draw, by number and in order: all, or where there are more than can be told
// apart, the models, the first baseline and the others with the smallest overall MAE. Tables hold all.
std::vector<std::size_t> plotted_forecasters(const BacktestResult& result);

// The style class of forecaster `index`: colour and dash are the same in every plot and legend; none for one
// that plots leave out.
std::string forecaster_style(const BacktestResult& result, std::size_t index);

// The scores of one level of a group; nullptr when the group has no such level.
const GroupScores* find_group(const ForecasterResult& forecaster, const std::string& group,
                              const std::string& level);

// `metric` by horizon step, one line a forecaster.
Spec horizon_plot(const BacktestResult& result, const std::string& metric);

// `metric` by the given levels of a group, one bar a forecaster. `levels` in the order they are drawn.
Spec level_plot(const BacktestResult& result, const std::string& group,
                const std::vector<std::string>& levels, const std::string& metric);

// Levels of a group by forecasters: `metric` against that of the level's best baseline, in colour and words.
Spec heat_map(const BacktestResult& result, const std::string& group, const std::vector<std::string>& levels,
              const std::string& metric);

// Each comparison's relative difference with its 95 % interval beside the line at 0.
Spec comparison_plot(const std::vector<Comparison>& comparisons);

// Share of targets at or below each quantile against the quantile's level, of the models that are plotted.
Spec calibration_plot(const BacktestResult& result);

// One series: history, truth, and the first model's quantile bands and median beside the first baseline.
Spec fan_plot(const BacktestResult& result, const Fan& fan);

// Lines of one measure over training steps.
struct Curve {
  std::string name;
  std::vector<double> x, y;
};
Spec curve_plot(const std::vector<Curve>& curves, const std::string& y_title);

}  // namespace shelfcast::eval
