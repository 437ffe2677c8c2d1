#include "models/censored.h"
#include "models/demand_model.h"
#include "models/normalise.h"

namespace shelfcast::models {

namespace {

// Mean over levels of twice the pinball loss, [n, k], for forecasts [n, q] of k targets each.
at::Tensor pinball(const at::Tensor& forecast_nq, const at::Tensor& y_nk, const std::vector<double>& levels) {
  const at::Tensor level_q1 = at::tensor(levels, forecast_nq.options()).unsqueeze(1);
  const at::Tensor error_nqk = y_nk.unsqueeze(1) - forecast_nq.unsqueeze(2);
  return 2.0 * at::maximum(level_q1 * error_nqk, (level_q1 - 1.0) * error_nqk).mean(1);
}

// Some steps' forecasts, each a row.
struct Cells {
  at::Tensor quantiles_nq, mean_n;  // mean: maybe undefined
  bool arcsinh;                     // of the quantiles

  Cells rows(const at::Tensor& index) const {
    return {quantiles_nq.index_select(0, index), mean_n.defined() ? mean_n.index_select(0, index) : mean_n,
            arcsinh};
  }
};

// Loss of each on k equally likely scaled targets, [n].
at::Tensor target_loss(const Cells& forecast, const at::Tensor& y_nk, const ModelConfig& model) {
  const at::Tensor& mean_n = forecast.mean_n;
  at::Tensor total_nk = at::zeros_like(y_nk);
  if (model.loss.quantile > 0.0)
    total_nk =
        total_nk + model.loss.quantile * pinball(forecast.quantiles_nq,
                                                 forecast.arcsinh ? y_nk.asinh() : y_nk, model.quantiles);
  if (model.loss.mean > 0.0 && mean_n.defined()) {
    const at::Tensor error_nk = y_nk - mean_n.unsqueeze(1);
    const bool squared = model.loss.mean_loss == LossConfig::MeanLoss::mse;
    total_nk = total_nk + model.loss.mean * (squared ? error_nk.square() : error_nk.abs());
  }
  return total_nk.mean(1);
}

}  // namespace

// The level meets no other parameter, so this weight only sets how fast it learns.
constexpr double kLevelWeight = 0.1;

LossSums loss_sums(const Forecast& forecast, const Targets& given, const DemandModelConfig& config) {
  const LossConfig& loss = config.model.loss;
  const auto here = [&](const at::Tensor& tensor) {
    return tensor.defined() ? tensor.to(forecast.loc_b.device()) : tensor;
  };
  const Targets targets{here(given.demand_bh), here(given.weight_b), here(given.bound_bh)};
  const std::int64_t levels = forecast.quantiles_bqh.size(1);
  const at::Tensor importance_b =
      loss.scale_power == 0.0 ? targets.weight_b : targets.weight_b * forecast.scale_b.pow(loss.scale_power);
  const auto scaled = [&](const at::Tensor& demand_bh) {
    return ((demand_bh - forecast.loc_b.unsqueeze(1)) / forecast.scale_b.unsqueeze(1)).flatten();
  };
  // Every cell (window, step) is a row from here on.
  const Cells cells{forecast.quantiles_bqh.transpose(1, 2).reshape({-1, levels}),
                    forecast.mean_bh.defined() ? forecast.mean_bh.flatten() : forecast.mean_bh,
                    forecast.arcsinh};
  const at::Tensor weight_n = importance_b.unsqueeze(1).expand_as(targets.demand_bh).flatten();

  const at::Tensor valid_n = targets.demand_bh.isnan().logical_not().flatten();
  const at::Tensor valid_weight_n = valid_n.to(weight_n.scalar_type()) * weight_n;
  // A missing target must not send NaN through the gradient, so it goes before the losses and not only by its
  // weight.
  const at::Tensor y_n = at::where(valid_n, scaled(targets.demand_bh), at::zeros({}, weight_n.options()));
  LossSums sums{(target_loss(cells, y_n.unsqueeze(1), config.model) * valid_weight_n).sum(),
                valid_weight_n.sum(at::kDouble).item<double>()};
  if (forecast.level_loss_b.defined()) {
    const at::Tensor steps_b = valid_n.view_as(targets.demand_bh).sum(1).to(weight_n.scalar_type());
    sums.loss = sums.loss + kLevelWeight * (forecast.level_loss_b * targets.weight_b * steps_b).sum();
  }

  if (!targets.bound_bh.defined() || loss.censored == LossConfig::Censored::mask) return sums;
  const at::Tensor cut = targets.bound_bh.isnan().logical_not_().flatten().nonzero().squeeze(1);
  if (cut.numel() == 0) return sums;
  const Cells hidden = cells.rows(cut);
  const at::Tensor cut_weight = weight_n.index_select(0, cut);
  const at::Tensor y_nk =
      demands_above(hidden.arcsinh ? rounded_sinh(hidden.quantiles_nq) : hidden.quantiles_nq,
                    config.model.quantiles, scaled(targets.bound_bh).index_select(0, cut));
  sums.loss = sums.loss + (target_loss(hidden, y_nk, config.model) * cut_weight).sum();
  sums.valid_targets += cut_weight.sum(at::kDouble).item<double>();
  return sums;
}

Forecast Forecast::linear() const {
  Forecast result = *this;
  if (arcsinh) result.quantiles_bqh = rounded_sinh(quantiles_bqh);
  result.arcsinh = false;
  return result;
}

at::Tensor Forecast::demand_quantiles_bqh(double floor) const {
  const at::Tensor demand =
      linear().quantiles_bqh.detach() * scale_b.view({-1, 1, 1}) + loc_b.view({-1, 1, 1});
  return std::get<0>(demand.clamp_min(floor).sort(1));
}

at::Tensor Forecast::demand_mean_bh(double floor) const {
  if (!mean_bh.defined()) return {};
  return (mean_bh.detach() * scale_b.unsqueeze(1) + loc_b.unsqueeze(1)).clamp_min(floor);
}

}  // namespace shelfcast::models
