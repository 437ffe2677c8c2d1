// A published series model as a Forecaster: it sees demand alone.
#pragma once

#include "data/features.h"
#include "eval/forecaster.h"
#include "models/series/series_model.h"

namespace shelfcast::trainer {

// What windows of such a model hold: demand and nothing else. The context is the model's, or `most_context`
// steps where there are no more.
data::FeatureSpec series_features(const models::SeriesModel& model, std::int64_t most_context,
                                  std::int64_t horizon, Frequency frequency);

// Quantiles in units of demand, never below 0 and never crossing. The published models have no mean: the
// median stands for it.
class SeriesForecaster : public eval::Forecaster {
 public:
  // `levels` ascending; empty = those the model was trained on. Throws Error(input) for one outside (0, 1).
  SeriesForecaster(std::string name, const models::SeriesModel& model, const data::FeatureSpec& spec,
                   std::vector<double> levels = {});

  const std::string& name() const override { return name_; }
  void forecast(const data::Batch& batch, eval::ForecastValues& values) override;

 private:
  std::string name_;
  const models::SeriesModel& model_;
  std::int64_t context_, horizon_;
  std::vector<double> levels_;
};

}  // namespace shelfcast::trainer
