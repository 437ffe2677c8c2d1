// The validation loss: the training loss on windows training never sees, the same number for any number of
// ranks.
#pragma once

#include <memory>

#include "data/loader.h"
#include "models/demand_model.h"
#include "parallel/communicator.h"
#include "trainer/plan.h"

namespace shelfcast::trainer {

class Validation {
 public:
  // `batch`: windows per evaluation batch; whole batches go to ranks (batch k to rank k % size).
  Validation(const std::filesystem::path& corpus, const DataPlan& plan, std::int64_t batch);
  ~Validation();

  bool empty() const { return windows_ == 0; }
  // Mean loss over valid targets. Sums are kept per batch and added in batch order, so ranks do not matter.
  // Collective. Throws Error(data) when no validation target is observed.
  double loss(const models::DemandModel& model, parallel::Communicator& communicator);

 private:
  data::FeatureSpec spec_;
  std::int64_t windows_;
  std::unique_ptr<data::EvaluationReader> reader_;
  data::Batch batch_;
};

}  // namespace shelfcast::trainer
