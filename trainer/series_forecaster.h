// A published series model as a Forecaster: it sees demand, and the covariates that it is given by name if it
// reads any.
#pragma once

#include "data/features.h"
#include "eval/forecaster.h"
#include "models/series/series_model.h"

namespace shelfcast::trainer {

// What windows of such a model hold: the columns of `spec`. Its context becomes the model's, or
// `most_context` steps where there are no more. Throws Error(input) for columns that the model does not read.
data::FeatureSpec series_features(const models::SeriesModel& model, data::FeatureSpec spec,
                                  std::int64_t most_context);

// Quantiles in units of demand, never below 0 and never crossing: the trained levels are sorted, others lie
// between them (models::interpolate_levels). The published models have no mean: the median stands for it.
class SeriesForecaster : public eval::Forecaster {
 public:
  // `spec` from series_features(); `levels` ascending; empty = those the model was trained on. Throws
  // Error(input) for one outside (0, 1).
  SeriesForecaster(std::string name, const models::SeriesModel& model, const data::FeatureSpec& spec,
                   std::vector<double> levels = {});

  const std::string& name() const override { return name_; }
  void forecast(const data::Batch& batch, eval::ForecastValues& values) override;

 private:
  // [windows, levels, horizon] at the model's own levels, as it says them.
  at::Tensor trained_quantiles(const data::Batch& batch) const;

  std::string name_;
  const models::SeriesModel& model_;
  data::FeatureSpec spec_;
  std::vector<double> levels_;
};

}  // namespace shelfcast::trainer
