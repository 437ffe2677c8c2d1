// The backtest: all forecasters judged on the same windows in one pass over the corpus.
#pragma once

#include <filesystem>
#include <vector>

#include "data/features.h"
#include "eval/config.h"
#include "eval/forecaster.h"
#include "eval/result.h"
#include "parallel/communicator.h"

namespace shelfcast::eval {

// Judges `models` (may be none) and the baselines that config.baselines names.
//
// Whether the corpus has what the block names: groups, promotion and price, levels of the hierarchy. For
// those who want to know before there is a model; run_backtest finds out by itself. Throws Error(input)
// naming the nearest.
void check_names(const BacktestConfig& config, const data::Corpus& corpus);

// Origins are judged in stages (stages_of()), before each of which every forecaster may refit. In a stage,
// evaluation batch k is positions [kE, (k+1)E) of the list of windows sorted by series; rank k % N forecasts
// it whole, and its error sums are added up in batch order on every rank. So the result is the same to the
// last digit for any number of ranks, as long as the forecasters depend on nothing but the batch and
// their last refit. Collective;
// every rank returns the result. Memory: O(series x forecasters), whatever the number of windows. Each
// forecaster is called from the calling thread only.
//
// `validate_end` is the first step that neither training nor validation has seen.
// Throws Error(input): a bad configuration, an origin that reaches into training, too little history, a group
// the corpus does not have, more ranks than windows. Error(data): a forecast that is not finite, naming
// series and date.
BacktestResult run_backtest(const BacktestConfig& config, const data::CorpusSource& corpus,
                            const data::FeatureSpec& spec, std::vector<Forecaster*> models,
                            std::int64_t validate_end, parallel::Communicator& communicator);

}  // namespace shelfcast::eval
