#include "models/inputs.h"

namespace shelfcast::models {

namespace {

// Out of page-locked memory a copy to a GPU goes on by itself, while the host makes the next batch; that
// memory is used again when the copy has ended.
at::Tensor sent(const at::Tensor& tensor, const at::Device& device) {
  if (device.is_cuda() && tensor.device().is_cpu())
    return tensor.pin_memory().to(device, /*non_blocking=*/true);
  return tensor.to(device);
}

}  // namespace

ModelInputs ModelInputs::to(const at::Device& device) const {
  ModelInputs moved = *this;
  for (at::Tensor* tensor :
       {&moved.context_bt, &moved.past_bnt, &moved.past_codes_bct, &moved.known_bnu, &moved.known_codes_bcu,
        &moved.statics_bs, &moved.text_bw, &moved.static_numbers_bn, &moved.inventory_bt})
    if (tensor->defined()) *tensor = sent(*tensor, device);
  return moved;
}

}  // namespace shelfcast::models
