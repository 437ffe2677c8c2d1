#include "models/inputs.h"

#include "models/transfer.h"

namespace shelfcast::models {

std::array<at::Tensor*, 9> ModelInputs::tensors() {
  return {&context_bt, &past_bnt, &past_codes_bct,    &known_bnu,   &known_codes_bcu,
          &statics_bs, &text_bw,  &static_numbers_bn, &inventory_bt};
}

ModelInputs ModelInputs::to(const at::Device& device) const {
  ModelInputs moved = *this;
  for (at::Tensor* tensor : moved.tensors())
    if (tensor->defined()) *tensor = sent(*tensor, device);
  return moved;
}

}  // namespace shelfcast::models
