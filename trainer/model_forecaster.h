// A trained model as a Forecaster of backtests.
#pragma once

#include "data/features.h"
#include "eval/forecaster.h"
#include "models/demand_model.h"
#include "trainer/text/series_texts.h"

namespace shelfcast::trainer {

// `texts`: of the series that batches name. At `levels` (ascending; empty = those trained, others are
// interpolated between them). Quantiles in units of demand, never below 0 and never crossing; the median is
// the 0.5 quantile (interpolated when 0.5 is not a trained level); the mean is the mean head's, or the median
// without one. With a head of classes how likely each is, too.
class ModelForecaster : public eval::Forecaster {
 public:
  ModelForecaster(std::string name, const models::DemandModel& model, data::FeatureSpec spec,
                  SeriesTexts texts, std::vector<double> levels = {});

  const std::string& name() const override { return name_; }
  bool says_sums() const override { return model_.config().model.cumulated; }
  bool says_classes() const override { return model_.config().model.class_count() > 0; }
  bool says_inventory() const override { return model_.config().model.inventory; }
  void forecast(const data::Batch& batch, eval::ForecastValues& values) override;

 private:
  std::string name_;
  const models::DemandModel& model_;
  data::FeatureSpec spec_;
  SeriesTexts texts_;
  std::vector<double> levels_;
};

}  // namespace shelfcast::trainer
