#include "models/token_change.h"

namespace shelfcast::models {

at::Tensor changed_tokens(const at::Tensor& tokens, std::int64_t windows, TokenChange* change) {
  if (change == nullptr) return tokens;
  const at::Tensor x_bld = tokens.view({windows, -1, tokens.size(-1)});
  const at::Tensor values = x_bld.detach();
  change->length_b = values.flatten(1).norm(2, 1);
  if (!change->added_bld.defined()) change->added_bld = at::zeros_like(values).set_requires_grad(true);
  return (x_bld + change->added_bld).view_as(tokens);
}

}  // namespace shelfcast::models
