// What a reviewer asks of a backtest, name by name, for every form of the report.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "eval/result.h"

namespace shelfcast::eval {

using Facts = std::vector<std::pair<std::string, std::string>>;

// By which rules it judges.
Facts protocol_facts(const BacktestResult& result);
// On which data.
Facts data_facts(const BacktestResult& result);
// "0.1, 0.5, 0.9"; where not all quantiles are of the same levels, whose are which: "a: 0.1, 0.9; b, c: 0.5".
// Point forecasts have none.
std::string quantile_levels(const BacktestResult& result);
bool levels_differ(const BacktestResult& result);
// What stands in for a step of a history that was not observed: "the value before it".
std::string gap_filler(SeasonalGaps gaps);
// "a trained 300 of 1,500 steps; b ..." of trainings that had not ended; empty where there are none.
std::string unfinished_trainings(const BacktestResult& result);

}  // namespace shelfcast::eval
