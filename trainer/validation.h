// The validation loss: the training loss on windows training never sees, the same number for any number of
// ranks.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "data/loader.h"
#include "models/demand_model.h"
#include "parallel/communicator.h"
#include "trainer/plan.h"
#include "trainer/text/series_texts.h"

namespace shelfcast::trainer {

class Validation {
 public:
  // `batch`: windows per evaluation batch; whole batches go to ranks (batch k to rank k % size).
  // `texts` of the corpus.
  Validation(const data::CorpusSource& corpus, const DataPlan& plan, SeriesTexts texts, std::int64_t batch);
  ~Validation();

  bool empty() const { return windows_ == 0; }
  // Mean loss over valid targets. Sums are kept per batch and added in batch order, so ranks do not matter.
  // nullopt when some rank was asked to stop meanwhile (`stop_requested` is looked at after every batch): all
  // ranks then leave together. Collective. Throws Error(data) when no validation target is observed.
  std::optional<double> loss(const models::DemandModel& model, const std::function<bool()>& stop_requested,
                             parallel::Communicator& communicator);

 private:
  data::FeatureSpec spec_;
  DemandClasses classes_;
  SeriesTexts texts_;
  std::int64_t windows_;
  std::unique_ptr<data::EvaluationReader> reader_;
  data::Batch batch_;
};

}  // namespace shelfcast::trainer
