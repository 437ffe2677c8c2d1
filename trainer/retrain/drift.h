// How the newest days of a corpus differ from those before them.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/corpus.h"

namespace shelfcast::trainer {

// One category, or all series together ("").
struct DemandDrift {
  std::string category;
  std::int64_t series = 0;
  // Of the steps before and of the new ones: demand a step and series, shares of steps without demand, and
  // of steps that are not observed.
  double mean_before = 0, mean_now = 0;
  double zeros_before = 0, zeros_now = 0;
  double missing_before = 0, missing_now = 0;
  // Population stability index: sum over ten bins of (now - before) * log(now / before), shares of each
  // series' demand over its mean before. Below 0.1 nothing much has changed, above 0.25 much has.
  double stability = 0;

  double change() const { return mean_before > 0 ? mean_now / mean_before - 1 : 0; }
};

// A numeric covariate, all series together.
struct CovariateDrift {
  std::string name;
  double shift = 0;  // of its mean, in standard deviations before
};

struct Drift {
  std::int64_t new_steps = 0;       // judged
  std::int64_t compared = 0;        // steps before them
  std::vector<DemandDrift> demand;  // all series first, then by category
  std::vector<CovariateDrift> covariates;
};

// Compares steps [first_new, demand_end) with as many before them, at least `season`. Memory: a block of
// series. Nothing when there are no new steps, or none before them.
std::optional<Drift> measure_drift(const data::CorpusSource& corpus, std::int64_t first_new,
                                   std::int64_t season);

}  // namespace shelfcast::trainer
