// Which samples a bad step was made of, written down for people.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "data/batch.h"
#include "data/corpus.h"
#include "parallel/communicator.h"
#include "trainer/run/metrics_log.h"
#include "trainer/step_guard.h"

namespace shelfcast::trainer {

// One sample of a step.
struct SampleLoss {
  data::Window window;
  double loss = 0;  // per valid target
};

// A step that was judged bad: what is written to bad-steps.jsonl.
struct BadStep {
  std::int64_t step = 0;  // 1-based, as in metrics.jsonl
  StepVerdict verdict = StepVerdict::good;
  std::string action;  // "skip" or "stop"
  double loss = 0, norm = 0, norm_average = 0;
};

// Its line of bad-steps.jsonl, without samples.
nlohmann::json to_json(const BadStep& bad);

// Writes one JSON line to `log` (rank 0; null elsewhere): the step and, from every rank, up to 16 of its
// samples (series, first forecast date, loss) whose loss is not finite or, where all are, is largest. `own`:
// of this rank, each by itself. Returns the worst in words, the same on every rank, or that none of them
// alone is what the step was. Collective.
std::string report_bad_step(const BadStep& bad, std::vector<SampleLoss> own, const data::Corpus& corpus,
                            MetricsLog* log, parallel::Communicator& communicator);

}  // namespace shelfcast::trainer
