// Which (series, origin) windows a backtest judges.
#pragma once

#include <cstdint>
#include <vector>

#include "data/batch.h"
#include "data/corpus.h"
#include "eval/config.h"

namespace shelfcast::eval {

// Rolling origins, ascending, `stride` steps apart; the last one's horizon ends on the last observed step of
// demand. Throws Error(input) naming the date: when the history is too short for them, or when the horizon of
// the first starts before `validate_end` (the first step that neither training nor validation has seen),
// which would be a leak.
std::vector<std::int64_t> rolling_origins(const BacktestConfig& config, const data::CorpusInfo& info,
                                          std::int64_t validate_end);

// Origins that are judged one after another, forecasters being refitted before each: `refit_every` at a time,
// or all at once where that is 0.
std::vector<std::vector<std::int64_t>> stages_of(const std::vector<std::int64_t>& origins,
                                                 std::int64_t refit_every);

// Every series with every origin, sorted by series, then origin: the order in which evaluation batches are
// cut.
std::vector<data::Window> evaluation_windows(std::int64_t series, const std::vector<std::int64_t>& origins);

}  // namespace shelfcast::eval
