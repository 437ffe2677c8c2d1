#include "models/inventory.h"

#include "models/normalise.h"

namespace shelfcast::models {

InventoryNorm inventory_norm(const at::Tensor& inventory_bt, const at::Tensor& demand_scale_b) {
  const Normalised own = normalise(inventory_bt, 0.0);
  const at::Tensor scale_b = at::maximum(own.scale_b, demand_scale_b);
  const at::Tensor places_t =
      at::arange(1, inventory_bt.size(1) + 1, inventory_bt.options().dtype(at::kLong));
  const at::Tensor last_b1 = (own.observed_bt * places_t).argmax(1, /*keepdim=*/true);
  const at::Tensor seen_b = own.observed_bt.any(1);
  const at::Tensor value_b = at::where(seen_b, inventory_bt.gather(1, last_b1).squeeze(1), own.loc_b);
  return {own.loc_b, scale_b, (value_b - own.loc_b) / scale_b};
}

at::Tensor point_loss(const at::Tensor& error, const LossConfig& loss) {
  switch (loss.mean_loss) {
    case LossConfig::MeanLoss::mae:
      return error.abs();
    case LossConfig::MeanLoss::huber: {
      const at::Tensor size = error.abs(), inner = size.clamp_max(loss.huber_delta);
      return 0.5 * inner.square() + loss.huber_delta * (size - inner);
    }
    default:
      return error.square();
  }
}

at::Tensor observed_loss(const at::Tensor& scaled_bh, const at::Tensor& loc_b, const at::Tensor& scale_b,
                         const at::Tensor& target_bh, const at::Tensor& weight_b, const LossConfig& loss) {
  const at::Tensor missing_bh = target_bh.isnan();
  const at::Tensor y_bh =
      ((target_bh - loc_b.unsqueeze(1)) / scale_b.unsqueeze(1)).masked_fill(missing_bh, 0.0);
  const at::Tensor loss_bh = point_loss(y_bh - scaled_bh, loss).masked_fill(missing_bh, 0.0);
  return (loss_bh * weight_b.unsqueeze(1)).sum();
}

}  // namespace shelfcast::models
