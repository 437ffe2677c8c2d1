#include <ATen/core/Reduction.h>

#include <limits>

#include "base/error.h"
#include "models/censored.h"
#include "models/demand_model.h"
#include "models/inventory.h"
#include "models/likelihoods.h"
#include "models/normalise.h"
#include "models/transfer.h"

namespace shelfcast::models {

namespace {

// Mean over levels of twice the pinball loss, [n, k], for forecasts [n, q] of k targets each.
at::Tensor pinball(const at::Tensor& forecast_nq, const at::Tensor& y_nk, const std::vector<double>& levels) {
  const at::Tensor level_q1 = sent(levels, forecast_nq.options()).unsqueeze(1);
  const at::Tensor error_nqk = y_nk.unsqueeze(1) - forecast_nq.unsqueeze(2);
  return 2.0 * at::maximum(level_q1 * error_nqk, (level_q1 - 1.0) * error_nqk).mean(1);
}

// The cells (window, step) of forecasts, a row each. What a model lacks is undefined.
struct Cells {
  at::Tensor quantiles_nq, mean_n, relative_mean_n, dispersion_n, zeros_n, loc_n, scale_n, weight_n;
  bool arcsinh;  // of the quantiles

  Cells select(const at::Tensor& rows) const {
    const auto of = [&](const at::Tensor& x) { return x.defined() ? x.index_select(0, rows) : x; };
    return {of(quantiles_nq), of(mean_n),  of(relative_mean_n), of(dispersion_n), of(zeros_n),
            of(loc_n),        of(scale_n), of(weight_n),        arcsinh};
  }
  at::Tensor scaled(const at::Tensor& demand_n) const { return (demand_n - loc_n) / scale_n; }
};

Cells cells_of(const Forecast& forecast, const at::Tensor& importance_b, const LossConfig& loss) {
  const std::int64_t windows = forecast.quantiles_bqh.size(0), levels = forecast.quantiles_bqh.size(1),
                     steps = forecast.quantiles_bqh.size(2);
  const auto flat = [](const at::Tensor& x_bh) { return x_bh.defined() ? x_bh.flatten() : x_bh; };
  const auto spread = [&](const at::Tensor& x_b) {
    return x_b.unsqueeze(1).expand({windows, steps}).flatten();
  };
  const bool relative = loss.counts > 0.0 || loss.mean_loss == LossConfig::MeanLoss::tweedie;
  return {forecast.quantiles_bqh.transpose(1, 2).reshape({-1, levels}),
          flat(forecast.mean_bh),
          relative && forecast.mean_bh.defined() ? forecast.relative_mean_bh().flatten() : at::Tensor(),
          flat(forecast.dispersion_bh),
          flat(forecast.zeros_bh),
          spread(forecast.loc_b),
          spread(forecast.scale_b),
          spread(importance_b),
          forecast.arcsinh};
}

// [n, k] of k equally likely targets, in units of demand and in the normalised scale.
at::Tensor mean_loss(const Cells& cells, const at::Tensor& demand_nk, const at::Tensor& y_nk,
                     const LossConfig& loss) {
  if (loss.mean_loss == LossConfig::MeanLoss::tweedie) {
    const at::Tensor relative_nk = demand_nk.clamp_min(0.0) / cells.scale_n.unsqueeze(1);
    return tweedie_loss(relative_nk, cells.relative_mean_n.unsqueeze(1).expand_as(relative_nk),
                        loss.tweedie_power);
  }
  return point_loss(y_nk - cells.mean_n.unsqueeze(1), loss);
}

// [n, k]. In double: the gamma functions of small dispersions differ in their last digits.
at::Tensor count_loss(const Cells& cells, const at::Tensor& demand_nk) {
  const auto wide = [&](const at::Tensor& x_n) {
    return x_n.to(at::kDouble).unsqueeze(1).expand_as(demand_nk);
  };
  const at::Tensor y_nk = demand_nk.to(at::kDouble).clamp_min(0.0);
  const at::Tensor mean_nk = wide(cells.relative_mean_n * cells.scale_n),
                   dispersion_nk = wide(cells.dispersion_n);
  const at::Tensor loss_nk = cells.zeros_n.defined()
                                 ? zero_inflated_loss(y_nk, mean_nk, dispersion_nk, wide(cells.zeros_n))
                                 : negative_binomial_loss(y_nk, mean_nk, dispersion_nk);
  return loss_nk.to(cells.quantiles_nq.scalar_type());
}

// Loss of the cells on k equally likely targets, [n].
at::Tensor target_loss(const Cells& cells, const at::Tensor& demand_nk, const at::Tensor& y_nk,
                       const ModelConfig& model) {
  at::Tensor total_nk = at::zeros_like(y_nk);
  if (model.loss.quantile > 0.0)
    total_nk = total_nk + model.loss.quantile * pinball(cells.quantiles_nq,
                                                        cells.arcsinh ? y_nk.asinh() : y_nk, model.quantiles);
  if (model.loss.mean > 0.0 && cells.mean_n.defined())
    total_nk = total_nk + model.loss.mean * mean_loss(cells, demand_nk, y_nk, model.loss);
  if (model.loss.counts > 0.0) total_nk = total_nk + model.loss.counts * count_loss(cells, demand_nk);
  return total_nk.mean(1);
}

// Summed over the windows and the sums of their first steps, all of which must be observed.
at::Tensor cumulated_loss(const Forecast& forecast, const at::Tensor& demand_bh,
                          const at::Tensor& importance_b, const std::vector<double>& levels) {
  const at::Tensor loc_b1 = forecast.loc_b.unsqueeze(1), scale_b1 = forecast.scale_b.unsqueeze(1);
  const at::Tensor missing_bh = demand_bh.isnan();
  const at::Tensor scaled_bh = ((demand_bh - loc_b1) / scale_b1).masked_fill(missing_bh, 0.0);
  const at::Tensor steps_h = at::arange(demand_bh.size(1), scaled_bh.options()) + 1.0;
  const at::Tensor y_n1 = (scaled_bh.cumsum(1) / steps_h.sqrt()).flatten().unsqueeze(1);
  const at::Tensor whole_bh = (missing_bh.cumsum(1) == 0).to(scaled_bh.scalar_type());
  const at::Tensor forecast_nq =
      forecast.cumulated_bqh.transpose(1, 2).reshape({-1, forecast.cumulated_bqh.size(1)});
  const at::Tensor loss_bh = pinball(forecast_nq, y_n1, levels).view_as(whole_bh);
  return (loss_bh * whole_bh * importance_b.unsqueeze(1)).sum();
}

// Summed over the cells, as torch.nn.functional.cross_entropy(reduction="sum") defines it, each cell times
// its weight.
at::Tensor class_loss(const Forecast& forecast, const at::Tensor& class_bh, const at::Tensor& class_weight_c,
                      const at::Tensor& weight_n, double label_smoothing) {
  const at::Tensor logits_nc = forecast.class_logits_bch.transpose(1, 2).reshape({-1, kDemandClasses});
  const at::Tensor weights_c =
      class_weight_c.defined() ? class_weight_c.to(logits_nc.scalar_type()) : at::Tensor();
  const at::Tensor loss_n = at::cross_entropy_loss(logits_nc, class_bh.flatten(), weights_c,
                                                   at::Reduction::None, kNoClass, label_smoothing);
  return (loss_n * weight_n).sum();
}

// The level meets no other parameter, so this weight only sets how fast it learns.
constexpr double kLevelWeight = 0.1;

// `given` where the forecast lies, without the closed steps.
Targets open_targets(const Targets& given, const Forecast& forecast) {
  constexpr float kUnobserved = std::numeric_limits<float>::quiet_NaN();
  Targets targets = given;
  for (at::Tensor* tensor : targets.tensors())
    if (tensor->defined()) *tensor = sent(*tensor, forecast.loc_b.device());
  if (!forecast.closed_bh.defined()) return targets;
  const auto leave_out = [](at::Tensor& x, const at::Tensor& closed, double value) {
    if (x.defined()) x = x.masked_fill(closed, value);
  };
  leave_out(targets.demand_bh, forecast.closed_bh, kUnobserved);
  leave_out(targets.bound_bh, forecast.closed_bh, kUnobserved);
  leave_out(targets.class_bh, forecast.closed_bh, kNoClass);
  if (targets.hidden_bt.defined()) {
    const std::int64_t steps = forecast.closed_bt.size(1), before = targets.hidden_bt.size(1) - steps;
    targets.hidden_bt = targets.hidden_bt.narrow(1, before, steps);
    leave_out(targets.hidden_bt, forecast.closed_bt, kUnobserved);
  }
  return targets;
}

// Adds the losses of the heads beside demand's own. `all_demand_bh`: with closed steps, which sums of demand
// hold, too.
void add_other_heads(const Forecast& forecast, const Targets& targets, const at::Tensor& all_demand_bh,
                     const Cells& cells, const at::Tensor& importance_b, const ModelConfig& model,
                     at::Tensor& sum) {
  const LossConfig& loss = model.loss;
  if (loss.cumulated > 0.0)
    sum = sum + loss.cumulated * cumulated_loss(forecast, sent(all_demand_bh, importance_b.device()),
                                                importance_b, model.quantiles);
  if (loss.inventory > 0.0) {
    SHELFCAST_ASSERT(targets.inventory_bh.defined());
    sum = sum + loss.inventory * observed_loss(forecast.inventory_bh, forecast.inventory.loc_b,
                                               forecast.inventory.scale_b, targets.inventory_bh, importance_b,
                                               loss);
  }
  if (loss.masked > 0.0 && forecast.masked_bt.defined() && targets.hidden_bt.defined()) {
    const std::int64_t steps = forecast.masked_bt.size(1), before = targets.hidden_bt.size(1) - steps;
    sum = sum + loss.masked * observed_loss(forecast.masked_bt, forecast.loc_b, forecast.scale_b,
                                            targets.hidden_bt.narrow(1, before, steps), importance_b, loss);
  }
  if (loss.classes > 0.0) {
    SHELFCAST_ASSERT(targets.class_bh.defined());
    sum = sum + loss.classes * class_loss(forecast, targets.class_bh, targets.class_weight_c, cells.weight_n,
                                          loss.label_smoothing);
  }
  if (forecast.level_loss_b.defined()) {
    const at::Tensor steps_b =
        targets.demand_bh.isnan().logical_not().sum(1).to(cells.weight_n.scalar_type());
    sum = sum + kLevelWeight * (forecast.level_loss_b * targets.weight_b * steps_b).sum();
  }
}

// Adds the losses of the steps whose sales a stock-out cut.
void add_cut_steps(const Forecast& forecast, const at::Tensor& bound_bh, const Cells& cells,
                   const ModelConfig& model, LossSums& sums) {
  if (!bound_bh.defined() || model.loss.censored == LossConfig::Censored::mask) return;
  const at::Tensor cut = bound_bh.isnan().logical_not_().flatten().nonzero().squeeze(1);
  if (cut.numel() == 0) return;
  const Cells of_cut = cells.select(cut);
  at::Tensor believed_nq = of_cut.arcsinh ? rounded_sinh(of_cut.quantiles_nq) : of_cut.quantiles_nq;
  if (!forecast.count_levels.empty()) {
    const at::Tensor counts_nq = count_quantiles(of_cut.relative_mean_n * of_cut.scale_n, of_cut.dispersion_n,
                                                 of_cut.zeros_n, forecast.count_levels);
    believed_nq = (counts_nq - of_cut.loc_n.unsqueeze(1)) / of_cut.scale_n.unsqueeze(1);
  }
  const at::Tensor bound_n = of_cut.scaled(bound_bh.flatten().index_select(0, cut));
  const at::Tensor y_nk = demands_above(believed_nq, model.quantiles, bound_n);
  const at::Tensor demand_nk = y_nk * of_cut.scale_n.unsqueeze(1) + of_cut.loc_n.unsqueeze(1);
  sums.loss = sums.loss + (target_loss(of_cut, demand_nk, y_nk, model) * of_cut.weight_n).sum();
  sums.valid_targets = sums.valid_targets + of_cut.weight_n.sum(at::kDouble);
}

}  // namespace

std::array<at::Tensor*, 7> Targets::tensors() {
  return {&demand_bh, &weight_b, &bound_bh, &class_bh, &class_weight_c, &inventory_bh, &hidden_bt};
}

LossSums loss_sums(const Forecast& forecast, const Targets& given, const DemandModelConfig& config) {
  const ModelConfig& model = config.model;
  const Targets targets = open_targets(given, forecast);
  const double power = model.loss.scale_power;
  const at::Tensor importance_b =
      power == 0.0 ? targets.weight_b : targets.weight_b * forecast.scale_b.pow(power);
  const Cells cells = cells_of(forecast, importance_b, model.loss);
  const at::Tensor valid_n = targets.demand_bh.isnan().logical_not().flatten();
  const at::Tensor valid_weight_n = valid_n.to(cells.weight_n.scalar_type()) * cells.weight_n;
  // A missing target must not send NaN through the gradient, so it goes before the losses and not only by its
  // weight.
  const at::Tensor none = at::zeros({}, cells.weight_n.options()), demand_n = targets.demand_bh.flatten();
  const at::Tensor known_n1 = at::where(valid_n, demand_n, none).unsqueeze(1);
  const at::Tensor y_n1 = at::where(valid_n, cells.scaled(demand_n), none).unsqueeze(1);
  LossSums sums{(target_loss(cells, known_n1, y_n1, model) * valid_weight_n).sum(),
                valid_weight_n.sum(at::kDouble)};
  add_other_heads(forecast, targets, given.demand_bh, cells, importance_b, model, sums.loss);
  add_cut_steps(forecast, targets.bound_bh, cells, model, sums);
  return sums;
}

}  // namespace shelfcast::models
