#include "models/inputs.h"

#include "models/transfer.h"

namespace shelfcast::models {

ModelInputs ModelInputs::to(const at::Device& device) const {
  ModelInputs moved = *this;
  for (at::Tensor* tensor :
       {&moved.context_bt, &moved.past_bnt, &moved.past_codes_bct, &moved.known_bnu, &moved.known_codes_bcu,
        &moved.statics_bs, &moved.text_bw, &moved.static_numbers_bn, &moved.inventory_bt})
    if (tensor->defined()) *tensor = sent(*tensor, device);
  return moved;
}

}  // namespace shelfcast::models
