// Which samples a bad step was made of, found by looking at each alone and written down for people.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "data/batch.h"
#include "models/demand_model.h"
#include "parallel/communicator.h"
#include "trainer/new_items.h"
#include "trainer/plan.h"
#include "trainer/run/metrics_log.h"
#include "trainer/step_guard.h"
#include "trainer/text/series_texts.h"

namespace shelfcast::trainer {

// This rank's windows of one step, in order, with what keys their dropout.
struct StepSamples {
  std::vector<data::Window> windows;
  std::vector<std::int64_t> samples;

  void clear();
  // Those of a batch but its padding.
  void add(const data::Batch& batch);
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

// Reads the samples again and computes the loss of each alone, with the dropout it had. Writes one JSON line
// to `log` (rank 0; null elsewhere): the step and, from every rank, up to 16 samples (series, first forecast
// date, loss per valid target) whose loss is not finite or, where all are, is largest. Returns the worst in
// words, the same on every rank. Collective.
std::string report_bad_step(const BadStep& bad, const StepSamples& samples, const models::DemandModel& model,
                            const data::CorpusSource& corpus, const DataPlan& plan, const SeriesTexts& texts,
                            const NewItems& new_items, std::uint64_t seed, MetricsLog* log,
                            parallel::Communicator& communicator);

}  // namespace shelfcast::trainer
