// Which steps are low, normal and high demand to their series: what a head of classes is trained on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/batch.h"
#include "data/config.h"
#include "data/corpus.h"
#include "eval/demand_level.h"
#include "models/config.h"

namespace shelfcast::trainer {

// Copies share the thresholds.
class DemandClasses {
 public:
  DemandClasses() = default;  // of a model without such a head
  // Fits each series' thresholds to what was observed of it before step `train_end`: quantiles at
  // model.classes. Classes are counted over the observed steps from `first_target`, the first that training
  // forecasts, to `train_end`, but for steps that data.open says are closed: nothing is learned of those,
  // though backtests count them to the past that they judge classes by. Steps that data.censored says are
  // cut are not observed. Throws Error(input) for a class that no counted step is in.
  DemandClasses(const data::DataConfig& config, const data::CorpusInfo& info,
                const models::ModelConfig& model, std::int64_t first_target, std::int64_t train_end);

  bool any() const { return thresholds_ != nullptr; }
  const eval::LevelThresholds& thresholds(std::int64_t series) const {
    return (*thresholds_)[static_cast<std::size_t>(series)];
  }
  // Of each class in the cross-entropy: those that the recipe gives, or, balanced, n / (classes * n of the
  // class), whose mean over the counted steps is 1.
  const std::vector<double>& weights() const { return weights_; }
  // The class of each target, [window, step]; models::kNoClass for targets that are missing, and for all of a
  // series that was never observed.
  std::vector<std::int64_t> of(const data::Batch& batch) const;

 private:
  std::shared_ptr<const std::vector<eval::LevelThresholds>> thresholds_;  // [series]
  std::vector<double> weights_;
};

}  // namespace shelfcast::trainer
