// What the error sums of a backtest say of each forecaster: scores, groups, and losses to compare.
#pragma once

#include <vector>

#include "eval/groups.h"
#include "eval/hierarchy.h"
#include "eval/judge.h"
#include "eval/regimes.h"
#include "eval/result.h"

namespace shelfcast::eval {

struct JudgedGroups {
  std::vector<Grouping> of_series;
  std::vector<Regime> of_steps;
  bool by_horizon = false;
  std::vector<std::string> views;
};

// Fills result.forecasters and result.losses, whose configuration, origins and categories are there.
// `hierarchies` is one a forecaster, or empty.
void summarise(const std::vector<Forecaster*>& forecasters, const BatchErrors& errors,
               const std::vector<HierarchyErrors>& hierarchies, const JudgedGroups& groups,
               const DateCells& cells, BacktestResult& result);

}  // namespace shelfcast::eval
