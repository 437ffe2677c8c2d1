// Learned baselines: fitted on all series together before the first origin, and anew as often as asked, with
// the covariates that the model has.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/features.h"
#include "eval/config.h"
#include "eval/forecaster.h"
#include "parallel/communicator.h"

namespace shelfcast::eval {

struct LearnedMethod {
  std::string name;   // in recipes: "boosting"
  std::string label;  // in reports: "Gradient boosting"
  std::string about;  // what it does, for reports
};

// All there are, simple ones first.
const std::vector<LearnedMethod>& learned_methods();

// Those that `config` names, in that order; to be fitted by refit(), which rank 0 does, on
// up to config.learned_rows rows from before the origin (of the config.history last steps, if not all), drawn
// evenly over the series by (seed, series, number): any origin, any step of the horizon, an observed target.
// Every rank gets the same models. Predictions of a window depend on it alone. refit() throws Error(input)
// when there is nothing to learn from before the origin. `communicator` must outlive them.
std::vector<std::unique_ptr<Forecaster>> make_learned(const BacktestConfig& config,
                                                      const data::CorpusSource& corpus,
                                                      const data::FeatureSpec& spec, std::int64_t threads,
                                                      parallel::Communicator& communicator);

}  // namespace shelfcast::eval
