#include "models/normalise.h"

namespace shelfcast::models {

Normalised normalise(const at::Tensor& context_bt, double scale_floor, const at::Tensor& unseen_scale_b) {
  const at::Tensor observed = context_bt.isnan().logical_not();
  const at::Tensor x = at::where(observed, context_bt, at::zeros({}, context_bt.options())).to(at::kDouble);
  const at::Tensor mask = observed.to(at::kDouble), count = mask.sum(1), some = count > 0;
  const at::Tensor divisor = count.clamp_min(1.0);
  const at::Tensor mean = x.sum(1) / divisor;
  const at::Tensor deviation = (((x - mean.unsqueeze(1)) * mask).square().sum(1) / divisor).sqrt();
  Normalised result;
  result.observed_bt = observed;
  result.loc_b = mean.to(context_bt.scalar_type());
  const at::Tensor unseen =
      unseen_scale_b.defined() ? unseen_scale_b.to(at::kDouble) : at::ones_like(deviation);
  at::Tensor scale = at::where(some, deviation, unseen).to(context_bt.scalar_type());
  result.scale_b = scale_floor > 0.0 ? scale.clamp_min(scale_floor) : scale.masked_fill(scale == 0.0, 1e-5);
  const at::Tensor scaled = (context_bt - result.loc_b.unsqueeze(1)) / result.scale_b.unsqueeze(1);
  result.scaled_bt = at::where(observed, scaled, at::zeros({}, scaled.options()));
  return result;
}

at::Tensor into_patches(const at::Tensor& columns_bxt, std::int64_t patch, std::int64_t stride) {
  const std::int64_t steps = columns_bxt.size(2), whole = (steps + patch - 1) / patch * patch;
  const at::Tensor patches_bxnp =
      at::constant_pad_nd(columns_bxt, {whole - steps, 0}, 0).unfold(2, patch, stride);
  return patches_bxnp.transpose(1, 2).reshape(
      {patches_bxnp.size(0), patches_bxnp.size(2), patches_bxnp.size(1) * patch});
}

at::Tensor rounded_sinh(const at::Tensor& x) { return x.to(at::kDouble).sinh().to(x.scalar_type()); }

DemandPatches demand_patches(const Normalised& demand, std::int64_t patch, std::int64_t stride) {
  const at::Tensor observed = demand.observed_bt.to(demand.scaled_bt.scalar_type());
  const at::Tensor patches = into_patches(at::stack({demand.scaled_bt, observed}, 1), patch, stride);
  return {patches.flatten(0, 1), patches.narrow(2, patch, patch).sum(2) > 0};
}

}  // namespace shelfcast::models
