#include "trainer/model_forecaster.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "trainer/model_inputs.h"

namespace shelfcast::trainer {
namespace {

void copy_out(const at::Tensor& tensor, std::vector<float>& values) {
  const at::Tensor dense = tensor.to(at::kFloat).contiguous();
  values.assign(dense.data_ptr<float>(), dense.data_ptr<float>() + dense.numel());
}

// The 0.5 quantile [b, h] by linear interpolation between the trained levels around it.
at::Tensor median_of(const at::Tensor& quantiles_bqh, const std::vector<double>& levels) {
  const auto upper = std::lower_bound(levels.begin(), levels.end(), 0.5);
  const auto index =
      std::min<std::int64_t>(upper - levels.begin(), static_cast<std::int64_t>(levels.size()) - 1);
  const at::Tensor above = quantiles_bqh.select(1, index);
  if (index == 0 || levels[static_cast<std::size_t>(index)] <= 0.5) return above;
  const double low = levels[static_cast<std::size_t>(index - 1)],
               high = levels[static_cast<std::size_t>(index)];
  return at::lerp(quantiles_bqh.select(1, index - 1), above, (0.5 - low) / (high - low));
}

}  // namespace

ModelForecaster::ModelForecaster(std::string name, const models::DemandModel& model, data::FeatureSpec spec)
    : name_(std::move(name)), model_(model), spec_(std::move(spec)) {}

void ModelForecaster::forecast(const data::Batch& batch, eval::ForecastValues& values) {
  const at::NoGradGuard no_grad;
  // make_inputs only views the arrays; the forward does not write to them.
  const models::ModelInputs inputs = make_inputs(const_cast<data::Batch&>(batch), spec_);
  const models::Forecast forecast = model_.forward(inputs, nullptr);
  const at::Tensor quantiles = forecast.demand_quantiles_bqh(0.0);
  const at::Tensor median = median_of(quantiles, model_.config().model.quantiles);
  values.levels = model_.config().model.quantiles;
  copy_out(quantiles, values.quantiles_bqh);
  copy_out(median, values.median_bh);
  copy_out(forecast.mean_bh.defined() ? forecast.demand_mean_bh(0.0) : median, values.mean_bh);
}

}  // namespace shelfcast::trainer
