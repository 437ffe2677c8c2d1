// How a backtest came about: what its report tells of models, machine and commands.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/corpus.h"
#include "eval/result.h"
#include "parallel/world.h"
#include "trainer/command_line.h"
#include "trainer/trained_run.h"

namespace shelfcast::trainer {

// Of the last of the runs: the first date that none has seen.
std::optional<Date> validated_until(const std::vector<TrainedRun>& runs);

// Of the backtest of a run, or of several averaged; the commands make it again beside what is there.
eval::RunMetadata metadata_of(const std::vector<TrainedRun>& runs, const data::Corpus& corpus,
                              const BacktestCommand& options, const parallel::World& world);
// Of a published model's, which goes to `out`.
eval::RunMetadata metadata_of(const std::string& architecture, const data::Corpus& corpus,
                              const BacktestCommand& options, const std::string& out,
                              const parallel::World& world);

}  // namespace shelfcast::trainer
