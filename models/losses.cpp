#include "models/demand_model.h"

namespace shelfcast::models {

namespace {

// Mean over levels of twice the pinball loss: [b, h].
at::Tensor pinball(const at::Tensor& forecast_bqh, const at::Tensor& y_bh,
                   const std::vector<double>& levels) {
  const at::Tensor level_q1 = at::tensor(levels, forecast_bqh.options()).unsqueeze(1);
  const at::Tensor error_bqh = y_bh.unsqueeze(1) - forecast_bqh;
  return 2.0 * at::maximum(level_q1 * error_bqh, (level_q1 - 1.0) * error_bqh).mean(1);
}

}  // namespace

LossSums loss_sums(const Forecast& forecast, const at::Tensor& target_bh, const at::Tensor& weight_b,
                   const DemandModelConfig& config) {
  const LossConfig& loss = config.model.loss;
  const at::Tensor valid_bh = target_bh.isnan().logical_not();
  const at::Tensor importance_b =
      loss.scale_power == 0.0 ? weight_b : weight_b * forecast.scale_b.pow(loss.scale_power);
  const at::Tensor weight_bh = valid_bh.to(target_bh.scalar_type()) * importance_b.unsqueeze(1);
  const at::Tensor scaled_bh = (target_bh - forecast.loc_b.unsqueeze(1)) / forecast.scale_b.unsqueeze(1);
  // A missing target must not send NaN through the gradient, so it goes before the losses and not only by its
  // weight.
  const at::Tensor y_bh = at::where(valid_bh, scaled_bh, at::zeros({}, scaled_bh.options()));

  at::Tensor total_bh = at::zeros_like(y_bh);
  if (loss.quantile > 0.0) {
    total_bh = total_bh + loss.quantile * pinball(forecast.quantiles_bqh, y_bh, config.model.quantiles);
  }
  if (loss.mean > 0.0 && forecast.mean_bh.defined()) {
    const at::Tensor error = y_bh - forecast.mean_bh;
    total_bh =
        total_bh + loss.mean * (loss.mean_loss == LossConfig::MeanLoss::mse ? error.square() : error.abs());
  }
  return {(total_bh * weight_bh).sum(), weight_bh.sum(at::kDouble).item<double>()};
}

at::Tensor Forecast::demand_quantiles_bqh(double floor) const {
  const at::Tensor demand = quantiles_bqh.detach() * scale_b.view({-1, 1, 1}) + loc_b.view({-1, 1, 1});
  return std::get<0>(demand.clamp_min(floor).sort(1));
}

at::Tensor Forecast::demand_mean_bh(double floor) const {
  if (!mean_bh.defined()) return {};
  return (mean_bh.detach() * scale_b.unsqueeze(1) + loc_b.unsqueeze(1)).clamp_min(floor);
}

}  // namespace shelfcast::models
