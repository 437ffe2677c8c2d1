// From the normalised scale of a window to units of demand.
#include "models/demand_model.h"
#include "models/likelihoods.h"
#include "models/normalise.h"

namespace shelfcast::models {

at::Tensor Forecast::relative_mean_bh() const {
  const at::Tensor relative = mean_bh + (loc_b / scale_b).unsqueeze(1);
  return positive_means ? positive_mean(relative) : relative;
}

Forecast Forecast::linear() const {
  Forecast result = *this;
  if (arcsinh) result.quantiles_bqh = rounded_sinh(quantiles_bqh);
  result.arcsinh = false;
  return result;
}

at::Tensor Forecast::demand_quantiles_bqh(double floor) const {
  const auto while_open = [this](const at::Tensor& demand_bqh) {
    return closed_bh.defined() ? demand_bqh.masked_fill(closed_bh.unsqueeze(1), 0.0) : demand_bqh;
  };
  if (!count_levels.empty()) {
    const at::Tensor zeros_n = zeros_bh.defined() ? zeros_bh.flatten() : zeros_bh;
    const at::Tensor quantiles_nq =
        count_quantiles(demand_mean_bh(0.0).flatten(), dispersion_bh.flatten(), zeros_n, count_levels);
    return while_open(
        quantiles_nq.view({mean_bh.size(0), mean_bh.size(1), -1}).transpose(1, 2).clamp_min(floor));
  }
  const at::Tensor demand =
      linear().quantiles_bqh.detach() * scale_b.view({-1, 1, 1}) + loc_b.view({-1, 1, 1});
  return while_open(std::get<0>(demand.clamp_min(floor).sort(1)));
}

at::Tensor Forecast::demand_cumulated_bqh(double floor) const {
  const at::Tensor steps_h = at::arange(cumulated_bqh.size(2), cumulated_bqh.options()) + 1.0;
  const at::Tensor sums_bqh =
      cumulated_bqh.detach() * steps_h.sqrt() * scale_b.view({-1, 1, 1}) + steps_h * loc_b.view({-1, 1, 1});
  const at::Tensor sorted_bqh = std::get<0>(sums_bqh.clamp_min(floor).sort(1));
  // More steps of demand that is not negative are not less; levels stay in order.
  return floor >= 0.0 ? std::get<0>(sorted_bqh.cummax(2)) : sorted_bqh;
}

at::Tensor Forecast::units_held_bh() const {
  return (inventory_bh.detach() * inventory.scale_b.unsqueeze(1) + inventory.loc_b.unsqueeze(1))
      .clamp_min(0.0);
}

at::Tensor Forecast::demand_mean_bh(double floor) const {
  if (!mean_bh.defined()) return {};
  const at::Tensor demand = positive_means ? relative_mean_bh().detach() * scale_b.unsqueeze(1)
                                           : mean_bh.detach() * scale_b.unsqueeze(1) + loc_b.unsqueeze(1);
  return closed_bh.defined() ? demand.clamp_min(floor).masked_fill(closed_bh, 0.0) : demand.clamp_min(floor);
}

}  // namespace shelfcast::models
