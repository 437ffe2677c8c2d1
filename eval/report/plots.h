// The plots of a backtest report, each as one SVG.
#pragma once

#include <string>
#include <vector>

#include "eval/result.h"

namespace shelfcast::eval {

// Metrics that read best as percentages, and their values as text.
bool is_share(const std::string& metric);
std::string format_score(const std::string& metric, double value);

// The forecasters that plots draw, by number and in order: all, or where there are more than can be told
// apart, the models, the first baseline and the others with the smallest overall MAE. Tables hold all.
std::vector<std::size_t> plotted_forecasters(const BacktestResult& result);

// The style class of forecaster `index`: colour and dash are the same in every plot and legend; none for one
// that plots leave out.
std::string forecaster_style(const BacktestResult& result, std::size_t index);

// `metric` by horizon step, one line a forecaster.
std::string horizon_plot(const BacktestResult& result, const std::string& metric);

// `metric` by the given levels of a group, one bar a forecaster. `levels` in the order they are drawn.
std::string level_plot(const BacktestResult& result, const std::string& group,
                       const std::vector<std::string>& levels, const std::string& metric);

// Each comparison's relative difference with its 95 % interval beside the line at 0.
std::string comparison_plot(const std::vector<Comparison>& comparisons);

// Share of targets at or below each quantile against the quantile's level, for the first forecaster that has
// quantiles.
std::string calibration_plot(const ForecasterResult& forecaster);

// One series: history, truth, and the first forecaster's quantile bands and median beside the first baseline.
std::string fan_plot(const BacktestResult& result, const Fan& fan);

// The scores of one level of a group; nullptr when the group has no such level.
const GroupScores* find_group(const ForecasterResult& forecaster, const std::string& group,
                              const std::string& level);

}  // namespace shelfcast::eval
