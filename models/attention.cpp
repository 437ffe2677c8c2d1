#include "models/attention.h"

#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <limits>
#include <vector>

#include "models/product.h"
#include "models/threads.h"

namespace shelfcast::models {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// In order, in one pass over it.
at::Tensor laid_out(const at::Tensor& x, at::ScalarType type) {
  return x.scalar_type() == type ? x.contiguous() : at::empty(x.sizes(), x.options().dtype(type)).copy_(x);
}

// [b*l, parts*i] -> [parts, b*n, l, k]; bfloat16 becomes float32.
at::Tensor split_heads(const at::Tensor& x, std::int64_t parts, AttentionShape s) {
  const at::ScalarType type = x.scalar_type() == at::kBFloat16 ? at::kFloat : x.scalar_type();
  return laid_out(x.view({s.windows, s.tokens, parts, s.heads, s.width}).permute({2, 0, 3, 1, 4}), type)
      .view({parts, s.windows * s.heads, s.tokens, s.width});
}

// [b*n, l, k] -> [b*l, i].
at::Tensor merge_heads(const at::Tensor& x, AttentionShape s) {
  return x.view({s.windows, s.heads, s.tokens, s.width})
      .permute({0, 2, 1, 3})
      .reshape({s.windows * s.tokens, s.heads * s.width});
}

// Scores [b*n, rows, width] become probabilities; returns them after dropout (the same tensor without).
// `bias` [n, rows, width] or undefined; `site` has one draw a window and head.
at::Tensor softmax_dropout_(at::Tensor& scores, const at::Tensor& bias, const at::Tensor& mask_bl,
                            std::int64_t heads, const SiteDropout& site) {
  const std::int64_t groups = scores.size(0), rows = scores.size(1), width = scores.size(2);
  const at::Tensor dropped = site.active() ? at::empty_like(scores) : scores;
  float* score = scores.mutable_data_ptr<float>();
  float* out = dropped.mutable_data_ptr<float>();
  const float* biases = bias.defined() ? bias.const_data_ptr<float>() : nullptr;
  const float* mask = mask_bl.const_data_ptr<float>();
  parallel_for(groups, 4, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t group = first; group < last; ++group) {
      const std::int64_t at = group * rows * width;
      const float* own = biases == nullptr ? nullptr : biases + group % heads * rows * width;
      kernels().softmax_dropout(site.active() ? site.draw(group) : DropoutDraw{}, rows, width, score + at,
                                own, mask + group / heads * width, out + at);
    }
  });
  return dropped;
}

// The gradient of the dropped probabilities becomes that of the scores.
void softmax_dropout_backward_(at::Tensor& gradient, const at::Tensor& p, const at::Tensor& dropped,
                               float scale) {
  const std::int64_t rows = p.size(1), width = p.size(2);
  float* g = gradient.mutable_data_ptr<float>();
  const float* probability = p.const_data_ptr<float>();
  const float* kept = dropped.const_data_ptr<float>();
  parallel_for(p.size(0), 4, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t group = first; group < last; ++group) {
      const std::int64_t at = group * rows * width;
      kernels().softmax_dropout_backward(scale, rows, width, probability + at, kept + at, g + at);
    }
  });
}

struct SelfAttentionFunction : torch::autograd::Function<SelfAttentionFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& qkv, const at::Tensor& bias_nll,
                            const at::Tensor& mask_bl, AttentionShape shape, const SiteDropout& site) {
    const at::Tensor heads = split_heads(qkv, 3, shape);
    at::Tensor p = at::bmm(heads[0], heads[1].transpose(1, 2));
    const at::Tensor dropped = softmax_dropout_(p, bias_nll.contiguous(), mask_bl, shape.heads, site);
    context->save_for_backward({heads, p, dropped});
    context->saved_data["shape"] =
        std::vector<std::int64_t>{shape.windows, shape.tokens, shape.heads, shape.width};
    context->saved_data["scale"] = static_cast<double>(site.scale);
    context->saved_data["qkv"] = qkv.scalar_type();
    return merge_heads(at::bmm(dropped, heads[2]), shape);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto sizes = context->saved_data["shape"].toIntVector();
    const AttentionShape s{sizes[0], sizes[1], sizes[2], sizes[3]};
    const auto saved = context->get_saved_variables();
    const at::Tensor &heads = saved[0], &p = saved[1], &dropped = saved[2];
    const at::Tensor dy = split_heads(gradients[0].contiguous(), 1, s)[0];
    at::Tensor dscores = at::bmm(dy, heads[2].transpose(1, 2));
    softmax_dropout_backward_(dscores, p, dropped,
                              static_cast<float>(context->saved_data["scale"].toDouble()));
    at::Tensor dheads = at::empty_like(heads);
    at::Tensor dq = dheads[0], dk = dheads[1], dv = dheads[2];
    at::bmm_out(dv, dropped.transpose(1, 2), dy);
    at::bmm_out(dq, dscores, heads[1]);
    at::bmm_out(dk, dscores.transpose(1, 2), heads[0]);
    const at::Tensor dqkv =
        laid_out(dheads.view({3, s.windows, s.heads, s.tokens, s.width}).permute({1, 3, 0, 2, 4}),
                 context->saved_data["qkv"].toScalarType())
            .view({s.windows * s.tokens, 3 * s.heads * s.width});
    const at::Tensor dbias = dscores.view({s.windows, s.heads, s.tokens, s.tokens}).sum(0);
    return {dqkv, dbias, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

// The same in LibTorch's operators.
at::Tensor plain_softmax_dropout(const at::Tensor& scores_bnrw, const at::Tensor& bias,
                                 const at::Tensor& mask_bl, const SiteDropout& site) {
  at::Tensor scores =
      scores_bnrw + mask_bl.view({mask_bl.size(0), 1, 1, mask_bl.size(1)}).to(scores_bnrw.dtype());
  if (bias.defined()) scores = scores + bias;
  const at::Tensor p = at::softmax(scores, -1);
  if (!site.active()) return p;
  const std::int64_t heads = p.size(1);
  return p * site.split(heads).keep_mask(p.size(2) * p.size(3), p.device()).view(p.sizes()) * site.scale;
}

at::Tensor plain_self_attention(const at::Tensor& qkv, const at::Tensor& bias, const at::Tensor& mask_bl,
                                AttentionShape s, const SiteDropout& site) {
  const at::Tensor heads = split_heads(qkv, 3, s).view({3, s.windows, s.heads, s.tokens, s.width});
  const at::Tensor p =
      plain_softmax_dropout(at::matmul(heads[0], heads[1].transpose(2, 3)), bias, mask_bl, site);
  return merge_heads(at::matmul(p, heads[2]).view({s.windows * s.heads, s.tokens, s.width}), s);
}

}  // namespace

at::Tensor encoder_buckets(std::int64_t tokens, std::int64_t buckets, std::int64_t max_distance) {
  const std::int64_t half = buckets / 2, exact = half / 2;
  at::Tensor result = at::empty({tokens * tokens}, at::kLong);
  std::int64_t* out = result.mutable_data_ptr<std::int64_t>();
  const float span = std::log(static_cast<float>(max_distance) / static_cast<float>(exact));
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (std::int64_t r = 0; r < tokens; ++r) {
      const std::int64_t distance = std::abs(r - t);
      std::int64_t bucket = distance;
      if (distance >= exact) {
        const float steps = std::log(static_cast<float>(distance) / static_cast<float>(exact)) / span;
        bucket =
            std::min(half - 1, exact + static_cast<std::int64_t>(steps * static_cast<float>(half - exact)));
      }
      *out++ = bucket + (r > t ? half : 0);
    }
  }
  return result;
}

at::Tensor relative_bias(const at::Tensor& table, const at::Tensor& buckets_tt, std::int64_t tokens) {
  return table.index_select(0, buckets_tt).t().contiguous().view({table.size(1), tokens, tokens});
}

at::Tensor additive_mask(const at::Tensor& attended_bl) {
  const at::TensorOptions options = attended_bl.options().dtype(at::kFloat);
  return at::where(attended_bl, at::zeros({}, options),
                   at::full({}, std::numeric_limits<float>::lowest(), options));
}

at::Tensor self_attention(const at::Tensor& qkv, const at::Tensor& bias_nll, const at::Tensor& mask_bl,
                          AttentionShape shape, const SiteDropout& site) {
  const bool rounded = qkv.scalar_type() == at::kBFloat16;
  if (!fits_kernels(qkv) && !(rounded && qkv.device().is_cpu()))
    return plain_self_attention(widened(qkv), bias_nll, mask_bl, shape, site);
  return SelfAttentionFunction::apply(qkv, bias_nll, mask_bl, shape, site.split(shape.heads));
}

at::Tensor single_query_attention(const at::Tensor& q_bi, const at::Tensor& key_weight_id,
                                  const at::Tensor& value_weight_id, const at::Tensor& memory_bld,
                                  const at::Tensor& mask_bl, std::int64_t heads, const SiteDropout& site) {
  const std::int64_t windows = q_bi.size(0), width = q_bi.size(1) / heads, d = memory_bld.size(2);
  const at::Tensor q_nbk = q_bi.view({windows, heads, width}).transpose(0, 1);
  const at::Tensor folded_bnd = at::bmm(q_nbk, key_weight_id.view({heads, width, d})).transpose(0, 1);
  const at::Tensor scores_bnl = at::bmm(folded_bnd, memory_bld.transpose(1, 2));
  const at::Tensor p = plain_softmax_dropout(scores_bnl.unsqueeze(2), {}, mask_bl, site).squeeze(2);
  const at::Tensor pooled_nbd = at::bmm(p, memory_bld).transpose(0, 1);
  const at::Tensor value_nbk = at::bmm(pooled_nbd, value_weight_id.view({heads, width, d}).transpose(1, 2));
  return value_nbk.transpose(0, 1).reshape({windows, heads * width});
}

}  // namespace shelfcast::models
