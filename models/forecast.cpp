// From the normalised scale of a window to units of demand.
#include <ATen/Parallel.h>

#include "base/count_distribution.h"
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
  if (!count_levels.empty()) return count_quantiles_bqh().clamp_min(floor);
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

at::Tensor Forecast::count_quantiles_bqh() const {
  const auto on_host = [](const at::Tensor& x_bh) {
    return x_bh.detach().cpu().to(at::kDouble).contiguous();
  };
  const at::Tensor mean = on_host(demand_mean_bh(0.0)), dispersion = on_host(dispersion_bh);
  const at::Tensor share = zeros_bh.defined() ? on_host(zeros_bh.sigmoid()) : at::zeros_like(mean);
  const std::int64_t cells = mean.numel(), levels = static_cast<std::int64_t>(count_levels.size());
  at::Tensor quantiles_nq = at::empty({cells, levels}, mean.options());
  const double *means = mean.const_data_ptr<double>(), *dispersions = dispersion.const_data_ptr<double>(),
               *shares = share.const_data_ptr<double>();
  auto* const out = quantiles_nq.mutable_data_ptr<double>();
  at::parallel_for(0, cells, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      // The mean is that of all demand, further zeros included.
      const CountDistribution counts{means[i] / (1.0 - shares[i]), dispersions[i], shares[i]};
      counts.quantiles(count_levels, {out + i * levels, static_cast<std::size_t>(levels)});
    }
  });
  return quantiles_nq.view({mean.size(0), mean.size(1), levels}).transpose(1, 2).to(quantiles_bqh.options());
}

}  // namespace shelfcast::models
