// What a recipe means on a given corpus: which steps are trained on, validated on and left for backtests.
#pragma once

#include <vector>

#include "data/corpus.h"
#include "data/features.h"
#include "data/sampler.h"
#include "trainer/demand_classes.h"
#include "trainer/recipe/recipe.h"

namespace shelfcast::trainer {

// Steps of the corpus' time axis: [0, train_end) is trained on, [train_end, validate_end) validates, what
// comes after is never seen by training.
struct DataPlan {
  data::FeatureSpec features;  // scalers fitted on [0, train_end), text column from the recipe's encoder
  std::int64_t train_end = 0, validate_end = 0;
  data::WindowSpace train_space;
  DemandClasses classes;                 // fitted on [0, train_end); of nothing without a head of classes
  std::vector<data::Window> validation;  // sorted by (series, origin); at most train.validate_windows
};

// Resolves the dates and columns of the recipe; without them the first backtest origin ends validation and
// one horizon before it ends training. Throws Error(input) when no training window fits, naming the lengths,
// and what DemandClasses throws.
DataPlan make_plan(const Recipe& recipe, const data::Corpus& corpus);

// At most `count` windows, drawn by `key` and sorted, of all series with origins `first`, `first` + horizon,
// ... whose horizons end by `end`.
std::vector<data::Window> choose_windows(std::uint64_t key, std::int64_t series, std::int64_t first,
                                         std::int64_t end, std::int64_t horizon, std::int64_t count);

// Throws Error(input) when there are too few windows for so many ranks.
void check_ranks(const Recipe& recipe, const DataPlan& plan, int ranks);

// The recipe with the plan's dates written out, so that a corpus that grows later does not move a run's
// cut-offs.
Recipe with_dates(const Recipe& recipe, const DataPlan& plan, const data::Corpus& corpus);

}  // namespace shelfcast::trainer
