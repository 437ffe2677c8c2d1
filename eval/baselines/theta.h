// The Theta method with its four variants, the best of them chosen by squared error.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "eval/baselines/decomposition.h"
#include "eval/baselines/made_by.h"

namespace shelfcast::eval {

// Fiorucci et al., "Models for optimising the theta method and their relationship to state space models",
// 2016: the trend line is that of the whole history (standard), or that of what came before each step
// (dynamic); theta is 2 (given) or fitted (optimised). STM, OTM, DSTM and DOTM there.
enum class ThetaLine { standard, dynamic };
enum class ThetaWeight { given, optimised };

struct ThetaFit {
  ThetaLine line = ThetaLine::standard;
  double alpha = 0.5, level = 0.0;  // of the smoothing; its level before the first step
  double weight = 0.5;              // of the trend: 1 - 1 / theta
  double squared_error = 0.0;       // summed one step ahead, from the fourth step on
};

// Least squares over 0.1 <= alpha <= 0.99, any first level and, if optimised, any theta in [1, 1e10]. Needs 4
// steps.
ThetaFit fit_theta(std::span<const double> history, ThetaLine line, ThetaWeight weight);
// The variant with the least squared error.
ThetaFit select_theta(std::span<const double> history);
void forecast_theta(const ThetaFit& fit, std::span<const double> history, std::span<double> steps);

// A history without its season.
struct Deseasonalised {
  std::vector<double> history;
  Season kind = Season::none;
  std::vector<double> indices;  // [season]; empty without one
};

// Takes the season out where it is significant: by ratios where the history is positive and no ratio is below
// 0.01, by differences elsewhere.
Deseasonalised deseasonalise(std::span<const double> history, std::int64_t season);

// The best variant of the deseasonalised history, with the season put back: what statsforecast calls
// AutoTheta. A constant history is repeated; with fewer than 4 steps, the last value. Fills `steps`; needs
// one step of history.
MadeBy theta(std::span<const double> history, std::int64_t season, std::span<double> steps);

}  // namespace shelfcast::eval
