#include "trainer/series_forecaster.h"

#include <ATen/ops/from_blob.h>

#include <algorithm>

#include "models/config.h"

namespace shelfcast::trainer {
namespace {

void copy_out(const at::Tensor& tensor, std::vector<float>& values) {
  const at::Tensor dense = tensor.contiguous();
  values.assign(dense.const_data_ptr<float>(), dense.const_data_ptr<float>() + dense.numel());
}

}  // namespace

data::FeatureSpec series_features(const models::SeriesModel& model, std::int64_t most_context,
                                  std::int64_t horizon, Frequency frequency) {
  data::FeatureSpec spec;
  spec.context = std::min(model.context_length(), std::max<std::int64_t>(1, most_context));
  spec.horizon = horizon;
  spec.frequency = frequency;
  return spec;
}

SeriesForecaster::SeriesForecaster(std::string name, const models::SeriesModel& model,
                                   const data::FeatureSpec& spec, std::vector<double> levels)
    : name_(std::move(name)),
      model_(model),
      context_(spec.context),
      horizon_(spec.horizon),
      levels_(std::move(levels)) {
  if (levels_.empty()) levels_ = model.levels();
  models::require_levels(levels_, "--quantiles");
}

void SeriesForecaster::forecast(const data::Batch& batch, eval::ForecastValues& values) {
  const at::Tensor context_bt =
      at::from_blob(const_cast<float*>(batch.context_bt.data()), {batch.windows, context_}, at::kFloat);
  std::vector<double> asked = levels_;
  asked.push_back(0.5);
  const at::Tensor all = model_.forecast(context_bt, horizon_, asked);
  const auto levels = static_cast<std::int64_t>(levels_.size());
  const at::Tensor quantiles = std::get<0>(all.narrow(1, 0, levels).clamp_min(0.0).sort(1));
  values.levels = levels_;
  copy_out(quantiles, values.quantiles_bqh);
  copy_out(all.select(1, levels).clamp_min(0.0), values.median_bh);
  values.mean_bh = values.median_bh;
}

}  // namespace shelfcast::trainer
