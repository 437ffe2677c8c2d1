// Attention among rows of one matrix that stand in a regular pattern: the tokens of a series, or one token's
// place in all series of a group. Scores are not scaled; rotary positions; dropout on probabilities.
#pragma once

#include <torch/types.h>

#include "models/dropout.h"

namespace shelfcast::models {

// Legend: w windows (sets of tokens that attend to each other), l tokens of a window, n heads, k width of a
// head, i = n * k.

// Rows are [windows / inner, tokens, inner]: `inner` windows side by side, token for token.
struct WindowLayout {
  std::int64_t windows = 0, tokens = 0, inner = 1;

  // Each series' tokens follow each other.
  static WindowLayout along_time(std::int64_t series, std::int64_t tokens) { return {series, tokens}; }
  // Groups of `size` series that follow each other; a window is one place in time of all series of a group.
  static WindowLayout across_series(std::int64_t groups, std::int64_t size, std::int64_t tokens) {
    return {groups * tokens, size, tokens};
  }
  std::int64_t rows() const { return windows * tokens; }
  std::int64_t row(std::int64_t window, std::int64_t token) const {
    return (window / inner * tokens + token) * inner + window % inner;
  }
};

// Rotary positions (Su et al., 2021): element e of the first half of a head and element e of the second are
// turned by position / theta^(2e / width). Cosines and sines [tokens, width / 2] in float32, as published;
// made on the host and sent to `device`.
struct Rotation {
  at::Tensor cos, sin;  // undefined = no positions
  static Rotation of(std::int64_t tokens, std::int64_t width, double theta,
                     const at::Device& device = at::kCPU);
};

struct HeadShape {
  std::int64_t heads, width;
};

// All tokens ask: qkv [rows, 3i] -> [rows, i]. `mask_wl` is additive (models/attention.h: additive_mask),
// `site` has one draw a window. Differentiable in qkv.
at::Tensor window_attention(const at::Tensor& qkv, const at::Tensor& mask_wl, const WindowLayout& layout,
                            HeadShape shape, const Rotation& rotation, const SiteDropout& site);

// Only the last tokens of each series ask: q [w * queries, i] and kv [w * tokens, 2i] -> [w * queries, i].
// Differentiable.
at::Tensor last_tokens_attention(const at::Tensor& q, const at::Tensor& kv, const at::Tensor& mask_wl,
                                 std::int64_t queries, std::int64_t tokens, HeadShape shape,
                                 const Rotation& rotation, const SiteDropout& site);

}  // namespace shelfcast::models
