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
  if (!count_levels.empty()) {
    const at::Tensor zeros_n = zeros_bh.defined() ? zeros_bh.flatten() : zeros_bh;
    const at::Tensor quantiles_nq =
        count_quantiles(demand_mean_bh(0.0).flatten(), dispersion_bh.flatten(), zeros_n, count_levels);
    return quantiles_nq.view({mean_bh.size(0), mean_bh.size(1), -1}).transpose(1, 2).clamp_min(floor);
  }
  const at::Tensor demand =
      linear().quantiles_bqh.detach() * scale_b.view({-1, 1, 1}) + loc_b.view({-1, 1, 1});
  return std::get<0>(demand.clamp_min(floor).sort(1));
}

at::Tensor Forecast::demand_mean_bh(double floor) const {
  if (!mean_bh.defined()) return {};
  const at::Tensor demand = positive_means ? relative_mean_bh().detach() * scale_b.unsqueeze(1)
                                           : mean_bh.detach() * scale_b.unsqueeze(1) + loc_b.unsqueeze(1);
  return demand.clamp_min(floor);
}

}  // namespace shelfcast::models
