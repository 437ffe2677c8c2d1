// T5 attention: no scaling of scores, learned relative position bias, dropout on probabilities.
#pragma once

#include <torch/types.h>

#include "models/dropout.h"

namespace shelfcast::models {

// Legend: b windows, l tokens, n heads, k width of a head, i = n * k, d width of a token.

// Which row of the bias table serves key position r seen from query position t: int64 [tokens * tokens],
// t-major. `directions`: both = the encoder's rule (half of the buckets for keys ahead).
at::Tensor encoder_buckets(std::int64_t tokens, std::int64_t buckets, std::int64_t max_distance);
// table [buckets, heads] -> [heads, tokens, tokens]. Differentiable.
at::Tensor relative_bias(const at::Tensor& table, const at::Tensor& buckets_tt, std::int64_t tokens);
// float [b, l]: 0 where attended, the lowest float elsewhere.
at::Tensor additive_mask(const at::Tensor& attended_bl);

struct AttentionShape {
  std::int64_t windows, tokens, heads, width;
};

// Self-attention: qkv [b*l, 3*i], float32 or as rounded (models/product.h) -> [b*l, i]. `bias` [n, l, l].
// Differentiable in qkv and bias.
at::Tensor self_attention(const at::Tensor& qkv, const at::Tensor& bias_nll, const at::Tensor& mask_bl,
                          AttentionShape shape, const SiteDropout& site);

// Attention of one query a window over `memory_bld`, with keys and values folded into the query's side:
// q_h . (Wk_h x) = (Wk_h^T q_h) . x, which spares two products over all tokens. q [b, i] -> [b, i].
at::Tensor single_query_attention(const at::Tensor& q_bi, const at::Tensor& key_weight_id,
                                  const at::Tensor& value_weight_id, const at::Tensor& memory_bld,
                                  const at::Tensor& mask_bl, std::int64_t heads, const SiteDropout& site);

}  // namespace shelfcast::models
