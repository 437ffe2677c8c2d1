#include "trainer/model_forecaster.h"

#include <ATen/core/grad_mode.h>

#include "models/series/series_model.h"
#include "trainer/model_inputs.h"

namespace shelfcast::trainer {
ModelForecaster::ModelForecaster(std::string name, const models::DemandModel& model, data::FeatureSpec spec,
                                 SeriesTexts texts, std::vector<double> levels)
    : name_(std::move(name)),
      model_(model),
      spec_(std::move(spec)),
      texts_(std::move(texts)),
      levels_(std::move(levels)) {
  if (levels_.empty()) levels_ = model.config().model.quantiles;
  models::require_levels(levels_, "--quantiles");
}

void ModelForecaster::forecast(const data::Batch& batch, eval::ForecastValues& values) {
  const at::NoGradGuard no_grad;
  // make_inputs only views the arrays; the forward does not write to them.
  const models::ModelInputs inputs = make_inputs(const_cast<data::Batch&>(batch), spec_, texts_);
  const models::Forecast forecast = model_.forward(inputs, nullptr);
  // Levels are looked up on the host, whatever device has forecast.
  const at::Tensor quantiles = forecast.demand_quantiles_bqh(0.0).cpu();
  const std::vector<double>& trained = model_.config().model.quantiles;
  const at::Tensor median = models::interpolate_levels(quantiles, trained, {0.5}).select(1, 0);
  values.levels = levels_;
  copy_out(models::interpolate_levels(quantiles, trained, levels_), values.quantiles_bqh);
  copy_out(median, values.median_bh);
  if (says_sums())
    copy_out(models::interpolate_levels(forecast.demand_cumulated_bqh(0.0).cpu(), trained, levels_),
             values.cumulated_bqh);
  if (says_classes()) copy_out(forecast.class_logits_bch.softmax(1), values.classes_bch);
  if (says_inventory()) copy_out(forecast.units_held_bh(), values.inventory_bh);
  copy_out(forecast.mean_bh.defined() ? forecast.demand_mean_bh(0.0) : median, values.mean_bh);
}

}  // namespace shelfcast::trainer
