#include "models/series/chronos2_loss.h"

#include "base/error.h"
#include "models/transfer.h"

namespace shelfcast::models {

namespace {

at::Tensor padded(const at::Tensor& x_bh, std::int64_t steps) {
  return at::constant_pad_nd(x_bh, {0, steps - x_bh.size(1)}, 0);
}

}  // namespace

LossSums chronos2_loss(const Chronos2Forecast& forecast, const Chronos2Inputs& inputs,
                       const at::Tensor& target_bh, const at::Tensor& weight_b,
                       const Chronos2Config& config) {
  const at::Tensor& f = forecast.quantiles_bqh;
  const std::int64_t rows = f.size(0), steps = f.size(2);
  if (target_bh.dim() != 2 || target_bh.size(0) != rows || target_bh.size(1) > steps) {
    throw input_error("Chronos-2 got targets that do not fit",
                      "there must be a row of them for each row of the "
                      "context, not longer than the forecast");
  }
  at::Tensor counted = target_bh.isnan().logical_not();
  const at::Tensor scaled = scaled_by(target_bh, forecast.loc_b, forecast.scale_b, config.use_arcsinh);
  const at::Tensor y = padded(at::where(counted, scaled, at::zeros({}, scaled.options())), steps);
  counted = padded(counted, steps);
  if (inputs.future_bh.defined())
    counted = counted.logical_and(padded(inputs.future_bh.isnan().logical_not(), steps).logical_not());

  const at::Tensor weight =
      weight_b.defined() ? weight_b.to(f.scalar_type()) : at::ones({rows}, f.options().requires_grad(false));
  const at::Tensor share = counted.to(f.scalar_type()) * (weight / static_cast<double>(steps)).unsqueeze(1);
  const at::Tensor level = sent(config.quantiles, f.options()).view({1, -1, 1});
  const at::Tensor error = y.unsqueeze(1) - f;
  const at::Tensor pinball = 2.0 * at::maximum(level * error, (level - 1.0) * error);
  return {(pinball.sum(1) * share).sum(), weight.sum(at::kDouble)};
}

}  // namespace shelfcast::models
