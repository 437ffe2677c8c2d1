// Forecasts that need no fitting. `steps` is filled, one value per horizon step.
#pragma once

#include <cstdint>
#include <span>

#include "eval/baselines/filled_history.h"
#include "eval/baselines/made_by.h"

namespace shelfcast::eval {

// All take a history with at least one step.

// Every step repeats the last observed value.
void naive(const History& history, std::span<double> steps);

// Step h repeats the value one season (or the fewest whole seasons) before it; the last value where the
// history is shorter than that.
MadeBy seasonal_naive(std::span<const double> history, std::int64_t season, std::span<double> steps);

// The line through the first and the last value, drawn on; one value alone is repeated.
MadeBy drift(std::span<const double> history, std::span<double> steps);

// Every step is the mean of the observed values among the last `window` steps; where there is none among
// them, the last observed value.
MadeBy moving_average(const History& history, std::int64_t window, std::span<double> steps);

}  // namespace shelfcast::eval
