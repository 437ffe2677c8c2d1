#include "models/series/window_attention.h"

#include <torch/csrc/autograd/custom_function.h>

#include <vector>

#include "base/error.h"
#include "models/threads.h"
#include "models/transfer.h"

namespace shelfcast::models {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Everything about one call but its tensors.
struct Plan {
  WindowLayout queries, keys;  // the same unless only the last tokens ask
  HeadShape shape;
  Rotation rotation;
  SiteDropout site;  // one draw a window and head
  bool separate() const { return queries.tokens != keys.tokens; }
  std::int64_t first_query() const { return keys.tokens - queries.tokens; }  // its place in time
};

// to = from turned by the angles (direction 1) or back (-1); `half` pairs.
inline void turn(const float* from, float* to, const float* cos, const float* sin, std::int64_t half,
                 float direction) {
  for (std::int64_t e = 0; e < half; ++e) {
    const float a = from[e], b = from[e + half], s = direction * sin[e];
    to[e] = a * cos[e] - b * s;
    to[e + half] = b * cos[e] + a * s;
  }
}

// A block of columns of rows, and the same numbers as [w * n, l, k].
struct HeadCopy {
  const WindowLayout& layout;
  HeadShape shape;
  std::int64_t columns, first_column;  // of the rows: how many, and where this block begins
  const Rotation* rotation = nullptr;  // nullptr = copied as they are
  std::int64_t first_position = 0;

  void split(const at::Tensor& rows, float* heads) const {
    const float* from = rows.const_data_ptr<float>();
    each([&](std::int64_t row, std::int64_t head, std::int64_t token) {
      move(from + row, heads + head, token, 1.0F);
    });
  }
  void merge(const float* heads, at::Tensor& rows) const {
    float* to = rows.mutable_data_ptr<float>();
    each([&](std::int64_t row, std::int64_t head, std::int64_t token) {
      move(heads + head, to + row, token, -1.0F);
    });
  }

 private:
  void move(const float* from, float* to, std::int64_t token, float direction) const {
    if (rotation == nullptr || !rotation->cos.defined()) {
      std::copy_n(from, shape.width, to);
      return;
    }
    const std::int64_t half = shape.width / 2, at = (token + first_position) * half;
    turn(from, to, rotation->cos.const_data_ptr<float>() + at, rotation->sin.const_data_ptr<float>() + at,
         half, direction);
  }
  template <typename Body>
  void each(Body body) const {
    const std::int64_t least = std::max<std::int64_t>(1, 8192 / (layout.tokens * shape.heads * shape.width));
    parallel_for(layout.windows, least, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t window = first; window < last; ++window) {
        for (std::int64_t token = 0; token < layout.tokens; ++token) {
          const std::int64_t row = layout.row(window, token) * columns + first_column;
          for (std::int64_t head = 0; head < shape.heads; ++head) {
            body(row + head * shape.width,
                 ((window * shape.heads + head) * layout.tokens + token) * shape.width, token);
          }
        }
      }
    });
  }
};

HeadCopy query_copy(const Plan& plan) {
  const std::int64_t i = plan.shape.heads * plan.shape.width;
  return {plan.queries, plan.shape, plan.separate() ? i : 3 * i, 0, &plan.rotation, plan.first_query()};
}
HeadCopy key_copy(const Plan& plan, bool values) {
  const std::int64_t i = plan.shape.heads * plan.shape.width, before = plan.separate() ? 0 : i;
  return {plan.keys, plan.shape, plan.separate() ? 2 * i : 3 * i, before + (values ? i : 0),
          values ? nullptr : &plan.rotation};
}
HeadCopy result_copy(const Plan& plan) {
  return {plan.queries, plan.shape, plan.shape.heads * plan.shape.width, 0};
}

at::Tensor empty_heads(const Plan& plan, const WindowLayout& layout, const at::Tensor& like) {
  return at::empty({layout.windows * plan.shape.heads, layout.tokens, plan.shape.width}, like.options());
}

at::Tensor split(const Plan& plan, const HeadCopy& copy, const at::Tensor& rows) {
  const at::Tensor heads = empty_heads(plan, copy.layout, rows);
  copy.split(rows, heads.mutable_data_ptr<float>());
  return heads;
}

// Scores [w * n, queries, keys] become probabilities; returns them after dropout (the same tensor without).
at::Tensor softmax_dropout_(at::Tensor& scores, const at::Tensor& mask_wl, const Plan& plan) {
  const std::int64_t rows = scores.size(1), width = scores.size(2);
  const at::Tensor dropped = plan.site.active() ? at::empty_like(scores) : scores;
  float* score = scores.mutable_data_ptr<float>();
  float* out = dropped.mutable_data_ptr<float>();
  const float* mask = mask_wl.const_data_ptr<float>();
  parallel_for(scores.size(0), std::max<std::int64_t>(4, 4096 / (rows * width)),
               [&](std::int64_t first, std::int64_t last) {
                 for (std::int64_t g = first; g < last; ++g) {
                   const std::int64_t at = g * rows * width;
                   kernels().softmax_dropout(plan.site.active() ? plan.site.draw(g) : DropoutDraw{}, rows,
                                             width, score + at, nullptr, mask + g / plan.shape.heads * width,
                                             out + at);
                 }
               });
  return dropped;
}

void softmax_dropout_backward_(at::Tensor& gradient, const at::Tensor& p, const at::Tensor& dropped,
                               float scale) {
  const std::int64_t rows = p.size(1), width = p.size(2);
  float* g = gradient.mutable_data_ptr<float>();
  const float* probability = p.const_data_ptr<float>();
  const float* kept = dropped.const_data_ptr<float>();
  parallel_for(p.size(0), std::max<std::int64_t>(4, 4096 / (rows * width)),
               [&](std::int64_t first, std::int64_t last) {
                 for (std::int64_t i = first; i < last; ++i) {
                   const std::int64_t at = i * rows * width;
                   kernels().softmax_dropout_backward(scale, rows, width, probability + at, kept + at,
                                                      g + at);
                 }
               });
}

// `source` is kv beside `q`, otherwise qkv.
struct WindowAttentionFunction : torch::autograd::Function<WindowAttentionFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& source_any,
                            const std::optional<at::Tensor>& q_any, const at::Tensor& mask_wl,
                            const std::shared_ptr<const Plan>& plan) {
    const at::Tensor source = source_any.contiguous();
    const at::Tensor q = split(*plan, query_copy(*plan), q_any ? q_any->contiguous() : source);
    const at::Tensor k = split(*plan, key_copy(*plan, false), source);
    const at::Tensor v = split(*plan, key_copy(*plan, true), source);
    at::Tensor p = at::bmm(q, k.transpose(1, 2));
    const at::Tensor dropped = softmax_dropout_(p, mask_wl.contiguous(), *plan);
    context->save_for_backward({q, k, v, p, dropped});
    context->saved_data["plan"] = c10::IValue::make_capsule(c10::make_intrusive<Holder>(plan));
    const at::Tensor mixed = at::bmm(dropped, v);
    at::Tensor result =
        at::empty({plan->queries.rows(), plan->shape.heads * plan->shape.width}, source.options());
    result_copy(*plan).merge(mixed.const_data_ptr<float>(), result);
    return result;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const Plan& plan = *static_cast<Holder*>(context->saved_data["plan"].toCapsule().get())->plan;
    const auto saved = context->get_saved_variables();
    const at::Tensor &q = saved[0], &k = saved[1], &v = saved[2], &p = saved[3], &dropped = saved[4];
    const at::Tensor dy = split(plan, result_copy(plan), gradients[0].contiguous());
    at::Tensor dscores = at::bmm(dy, v.transpose(1, 2));
    softmax_dropout_backward_(dscores, p, dropped, plan.site.scale);
    const std::int64_t i = plan.shape.heads * plan.shape.width;
    at::Tensor dsource = at::empty({plan.keys.rows(), plan.separate() ? 2 * i : 3 * i}, dy.options());
    at::Tensor dq_rows = plan.separate() ? at::empty({plan.queries.rows(), i}, dy.options()) : dsource;
    query_copy(plan).merge(at::bmm(dscores, k).const_data_ptr<float>(), dq_rows);
    key_copy(plan, false).merge(at::bmm(dscores.transpose(1, 2), q).const_data_ptr<float>(), dsource);
    key_copy(plan, true).merge(at::bmm(dropped.transpose(1, 2), dy).const_data_ptr<float>(), dsource);
    return {dsource, plan.separate() ? dq_rows : at::Tensor(), at::Tensor(), at::Tensor()};
  }

 private:
  struct Holder : torch::CustomClassHolder {
    explicit Holder(std::shared_ptr<const Plan> held) : plan(std::move(held)) {}
    std::shared_ptr<const Plan> plan;
  };
};

// The same in LibTorch's operators.

// [rows, i] -> [w, n, l, k].
at::Tensor plain_split(const at::Tensor& rows, const WindowLayout& layout, HeadShape shape) {
  return rows.view({layout.windows / layout.inner, layout.tokens, layout.inner, shape.heads, shape.width})
      .permute({0, 2, 3, 1, 4})
      .flatten(0, 1);
}

// And back.
at::Tensor plain_merge(const at::Tensor& heads, const WindowLayout& layout) {
  return heads
      .view({layout.windows / layout.inner, layout.inner, heads.size(1), layout.tokens, heads.size(3)})
      .permute({0, 3, 1, 2, 4})
      .reshape({layout.rows(), heads.size(1) * heads.size(3)});
}

at::Tensor plain_turn(const at::Tensor& x, const Rotation& rotation, std::int64_t first_position) {
  if (!rotation.cos.defined()) return x;
  const auto angles = [&](const at::Tensor& table) {
    return table.narrow(0, first_position, x.size(2)).to(x.scalar_type());
  };
  const at::Tensor cos = angles(rotation.cos), sin = angles(rotation.sin);
  const std::vector<at::Tensor> halves = x.chunk(2, 3);
  return at::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, 3);
}

at::Tensor plain_attention(const std::vector<at::Tensor>& qkv, const at::Tensor& mask_wl, const Plan& plan) {
  const at::Tensor q =
      plain_turn(plain_split(qkv[0], plan.queries, plan.shape), plan.rotation, plan.first_query());
  const at::Tensor k = plain_turn(plain_split(qkv[1], plan.keys, plan.shape), plan.rotation, 0);
  const at::Tensor v = plain_split(qkv[2], plan.keys, plan.shape);
  const at::Tensor mask = mask_wl.view({plan.keys.windows, 1, 1, plan.keys.tokens}).to(q.dtype());
  at::Tensor p = at::softmax(at::matmul(q, k.transpose(2, 3)) + mask, -1);
  if (plan.site.active()) {
    p = p * plan.site.keep_mask(p.size(2) * p.size(3), p.device()).view(p.sizes()) * plan.site.scale;
  }
  return plain_merge(at::matmul(p, v), plan.queries);
}

}  // namespace

Rotation Rotation::of(std::int64_t tokens, std::int64_t width, double theta, const at::Device& device) {
  const at::Tensor exponent = at::arange(0, width, 2, at::kFloat) / static_cast<double>(width);
  const at::Tensor frequency = 1.0 / at::pow(at::Scalar(theta), exponent);
  const at::Tensor angle = at::arange(tokens, at::kFloat).unsqueeze(1) * frequency.unsqueeze(0);
  return {sent(angle.cos(), device), sent(angle.sin(), device)};
}

at::Tensor window_attention(const at::Tensor& qkv, const at::Tensor& mask_wl, const WindowLayout& layout,
                            HeadShape shape, const Rotation& rotation, const SiteDropout& site) {
  SHELFCAST_ASSERT(qkv.size(0) == layout.rows());
  const Plan plan{layout, layout, shape, rotation, site.split(shape.heads)};
  if (!fits_kernels(qkv)) return plain_attention(qkv.chunk(3, 1), mask_wl, plan);
  return WindowAttentionFunction::apply(qkv, std::optional<at::Tensor>(), mask_wl,
                                        std::make_shared<const Plan>(plan));
}

at::Tensor last_tokens_attention(const at::Tensor& q, const at::Tensor& kv, const at::Tensor& mask_wl,
                                 std::int64_t queries, std::int64_t tokens, HeadShape shape,
                                 const Rotation& rotation, const SiteDropout& site) {
  const std::int64_t series = mask_wl.size(0);
  SHELFCAST_ASSERT(queries < tokens && q.size(0) == series * queries && kv.size(0) == series * tokens);
  const Plan plan{WindowLayout::along_time(series, queries), WindowLayout::along_time(series, tokens), shape,
                  rotation, site.split(shape.heads)};
  if (!fits_kernels(q)) {
    const std::vector<at::Tensor> parts = kv.chunk(2, 1);
    return plain_attention({q, parts[0], parts[1]}, mask_wl, plan);
  }
  return WindowAttentionFunction::apply(kv, std::optional<at::Tensor>(q), mask_wl,
                                        std::make_shared<const Plan>(plan));
}

}  // namespace shelfcast::models
