#include "scorer/forward/chronos2_encoder.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "scorer/forward/residual_block.h"

namespace shelfcast::scorer {
namespace {

// W_o W_v, [width, width].
DenseLayer product_of(const Ops& ops, const std::vector<float>& o, const std::vector<float>& v,
                      std::int64_t width, std::int64_t inner) {
  std::vector<float> v_transposed(v.size()), both(static_cast<std::size_t>(width * width));
  for (std::int64_t i = 0; i < inner; ++i)
    for (std::int64_t d = 0; d < width; ++d) v_transposed[d * inner + i] = v[i * width + d];
  const DenseLayer right = pack(ops, v_transposed, width, inner);
  ops.dense(right, o.data(), inner, width, both.data(), width, Write::store);
  return pack(ops, both, width, width);
}

// Calls work(first, count) for whole series of at most kRowsTogether rows together, at least one.
template <typename Work>
void by_series(const TokenBatch& tokens, const Work& work) {
  const std::int64_t series = std::ssize(tokens.series);
  for (std::int64_t first = 0, last = 0; first < series; first = last) {
    std::int64_t rows = 0;
    do {
      rows += tokens.series[last].tokens;
      ++last;
    } while (last < series && rows + tokens.series[last].tokens <= kRowsTogether);
    work(first, last - first, rows);
  }
}

}  // namespace

Chronos2Encoder::Chronos2Encoder(const TowerConfig& config, Groups groups, const Ops& ops, Weights& weights)
    : config_(config), groups_(groups), ops_(ops), activation_(activation_function(config.activation)) {
  make_rotation();
  for (std::int64_t i = 0; i < config_.num_layers; ++i) layers_.push_back(read_layer(weights, i));
  norm_ = to_floats(weights.take("encoder.final_layer_norm.weight", {config_.d_model}));
}

// Angles position / theta^(2e / d_kv), in float32 as published.
void Chronos2Encoder::make_rotation() {
  const std::int64_t half = config_.d_kv / 2;
  const std::int64_t most =
      config_.patches(config_.context_length) + 1 + config_.prediction_length / config_.patch;
  for (std::int64_t position = 0; position < most; ++position)
    for (std::int64_t e = 0; e < half; ++e) {
      const float exponent = static_cast<float>(2 * e) / static_cast<float>(config_.d_kv);
      const float frequency = 1.0F / std::pow(static_cast<float>(config_.rope_theta), exponent);
      const float angle = static_cast<float>(position) * frequency;
      cos_.push_back(std::cos(angle));
      sin_.push_back(std::sin(angle));
    }
}

Chronos2Encoder::AttentionLayer Chronos2Encoder::read_attention(Weights& weights,
                                                                const std::string& prefix) const {
  const std::int64_t width = config_.d_model, inner = config_.inner();
  const std::string name = prefix + "self_attention.";
  std::vector<float> kv = weights.take(name + "k.weight", {inner, width});
  const std::vector<float> v = weights.take(name + "v.weight", {inner, width});
  kv.insert(kv.end(), v.begin(), v.end());
  return {to_floats(weights.take(prefix + "layer_norm.weight", {width})),
          read_dense(ops_, weights, name + "q", inner, width), pack(ops_, kv, 2 * inner, width),
          read_dense(ops_, weights, name + "o", width, inner)};
}

void Chronos2Encoder::read_group_attention(Weights& weights, const std::string& prefix, Layer& layer) const {
  const std::int64_t width = config_.d_model, inner = config_.inner();
  const std::string name = prefix + "self_attention.";
  layer.alone = product_of(ops_, weights.take(name + "o.weight", {width, inner}),
                           weights.take(name + "v.weight", {inner, width}), width, inner);
  if (groups_ == Groups::of_any_size) {
    layer.group = read_attention(weights, prefix);
    return;
  }
  for (const char* unused : {"q.weight", "k.weight"}) (void)weights.take(name + unused, {inner, width});
  layer.group.norm = to_floats(weights.take(prefix + "layer_norm.weight", {width}));
}

Chronos2Encoder::Layer Chronos2Encoder::read_layer(Weights& weights, std::int64_t index) const {
  const std::string prefix = fmt::format("encoder.block.{}.layer.", index);
  Layer layer;
  layer.time = read_attention(weights, prefix + "0.");
  read_group_attention(weights, prefix + "1.", layer);
  layer.norm = to_floats(weights.take(prefix + "2.layer_norm.weight", {config_.d_model}));
  layer.wi = read_dense(ops_, weights, prefix + "2.mlp.wi", config_.d_ff, config_.d_model);
  layer.wo = read_dense(ops_, weights, prefix + "2.mlp.wo", config_.d_model, config_.d_ff);
  return layer;
}

void Chronos2Encoder::normalise(const Floats& norm, const float* x, std::int64_t rows, float* y) const {
  ops_.rms_norm(x, norm.data(), static_cast<float>(config_.epsilon), rows, config_.d_model, y);
}

void Chronos2Encoder::turn(const std::int32_t* position, std::int64_t rows, std::int64_t heads,
                           std::int64_t stride, float* x) const {
  ops_.rotate({rows, heads, config_.d_kv, stride, position, cos_.data(), sin_.data(), x});
}

void Chronos2Encoder::attend_time(const AttentionLayer& layer, TokenBatch& tokens,
                                  TowerScratch& scratch) const {
  const std::int64_t width = config_.d_model, inner = config_.inner(), heads = config_.num_heads;
  by_series(tokens, [&](std::int64_t first, std::int64_t count, std::int64_t rows) {
    const std::int64_t start = tokens.series[first].first_row;
    float* x = tokens.x.data() + start * width;
    float* normed = reserve(scratch.normed, rows * width);
    float* qkv = reserve(scratch.qkv, rows * 3 * inner);
    float* mixed = reserve(scratch.attended, rows * inner);
    normalise(layer.norm, x, rows, normed);
    ops_.dense(layer.q, normed, width, rows, qkv, 3 * inner, Write::store);
    ops_.dense(layer.kv, normed, width, rows, qkv + inner, 3 * inner, Write::store);
    turn(tokens.position.data() + start, rows, 2 * heads, 3 * inner, qkv);
    for (std::int64_t s = first; s < first + count; ++s) {
      const std::int64_t length = tokens.series[s].tokens, from = tokens.series[s].first_row - start;
      Attention attention = Attention::among(length, heads, config_.d_kv, qkv + from * 3 * inner);
      attention.scratch = reserve(scratch.scores, attention_scratch(length, length, config_.d_kv));
      attention.out = mixed + from * inner;
      ops_.attention(attention);
    }
    ops_.dense(layer.o, mixed, inner, rows, x, width, Write::add);
  });
}

void Chronos2Encoder::attend_time_at_ends(const AttentionLayer& layer, const TokenBatch& tokens,
                                          TowerScratch& scratch) const {
  const std::int64_t width = config_.d_model, inner = config_.inner(), heads = config_.num_heads;
  TokenBatch& ends = scratch.ends;
  float* q = reserve(scratch.gathered, ends.rows() * inner);
  float* mixed = reserve(scratch.attended, ends.rows() * inner);
  by_slices(ends.rows(), [&](std::int64_t first, std::int64_t rows) {
    float* normed = reserve(scratch.normed, rows * width);
    normalise(layer.norm, ends.x.data() + first * width, rows, normed);
    ops_.dense(layer.q, normed, width, rows, q + first * inner, inner, Write::store);
  });
  turn(ends.position.data(), ends.rows(), heads, inner, q);
  by_series(tokens, [&](std::int64_t first, std::int64_t count, std::int64_t rows) {
    const std::int64_t start = tokens.series[first].first_row;
    float* normed = reserve(scratch.normed, rows * width);
    float* kv = reserve(scratch.qkv, rows * 2 * inner);
    normalise(layer.norm, tokens.x.data() + start * width, rows, normed);
    ops_.dense(layer.kv, normed, width, rows, kv, 2 * inner, Write::store);
    turn(tokens.position.data() + start, rows, heads, 2 * inner, kv);
    for (std::int64_t s = first; s < first + count; ++s) {
      const TokenBatch::Span& all = tokens.series[s];
      const TokenBatch::Span& end = ends.series[s];
      const float* keys = kv + (all.first_row - start) * 2 * inner;
      float* room = reserve(scratch.scores, attention_scratch(end.tokens, all.tokens, config_.d_kv));
      ops_.attention({end.tokens,
                      all.tokens,
                      heads,
                      config_.d_kv,
                      q + end.first_row * inner,
                      keys,
                      keys + inner,
                      inner,
                      2 * inner,
                      {},
                      room,
                      mixed + end.first_row * inner});
    }
  });
  ops_.dense(layer.o, mixed, inner, ends.rows(), ends.x.data(), width, Write::add);
}

void Chronos2Encoder::pass_alone(const Layer& layer, std::int64_t rows, float* x,
                                 TowerScratch& scratch) const {
  const std::int64_t width = config_.d_model;
  by_slices(rows, [&](std::int64_t first, std::int64_t count) {
    float* normed = reserve(scratch.normed, count * width);
    normalise(layer.group.norm, x + first * width, count, normed);
    ops_.dense(layer.alone, normed, width, count, x + first * width, width, Write::add);
  });
}

void Chronos2Encoder::attend_groups(const Layer& layer, std::span<const std::int64_t> group_sizes,
                                    TokenBatch& tokens, TowerScratch& scratch) const {
  const std::span<const TokenBatch::Span> series(tokens.series);
  std::int64_t first = 0;
  for (std::size_t g = 0; g < group_sizes.size();) {
    if (group_sizes[g] > 1) {
      SHELFCAST_ASSERT(groups_ == Groups::of_any_size);
      attend_group(layer.group, series.subspan(first, group_sizes[g]), tokens, scratch);
      first += group_sizes[g++];
      continue;
    }
    std::int64_t rows = 0;
    const std::int64_t start = series[first].first_row;
    for (; g < group_sizes.size() && group_sizes[g] == 1; ++g) rows += series[first++].tokens;
    pass_alone(layer, rows, tokens.x.data() + start * config_.d_model, scratch);
  }
}

// Places in time one after the other; the group's tokens at a place are a window.
void Chronos2Encoder::attend_group(const AttentionLayer& layer, std::span<const TokenBatch::Span> group,
                                   TokenBatch& tokens, TowerScratch& scratch) const {
  std::vector<std::int64_t>& cursors = scratch.cursors;
  cursors.clear();
  for (const TokenBatch::Span& span : group) cursors.push_back(span.first_row);
  const auto position_of = [&](std::size_t member) {
    const TokenBatch::Span& span = group[member];
    return cursors[member] == span.first_row + span.tokens ? std::numeric_limits<std::int32_t>::max()
                                                           : tokens.position[cursors[member]];
  };
  scratch.rows.clear();
  scratch.windows.clear();
  while (true) {
    std::int32_t next = std::numeric_limits<std::int32_t>::max();
    for (std::size_t member = 0; member < group.size(); ++member) next = std::min(next, position_of(member));
    if (next == std::numeric_limits<std::int32_t>::max()) break;
    const std::size_t before = scratch.rows.size();
    for (std::size_t member = 0; member < group.size(); ++member)
      if (position_of(member) == next) scratch.rows.push_back(cursors[member]++);
    scratch.windows.push_back(static_cast<std::int64_t>(scratch.rows.size() - before));
    if (std::ssize(scratch.rows) + std::ssize(group) <= kRowsTogether) continue;
    attend_windows(layer, tokens, scratch);
    scratch.rows.clear();
    scratch.windows.clear();
  }
  if (!scratch.rows.empty()) attend_windows(layer, tokens, scratch);
}

void Chronos2Encoder::attend_windows(const AttentionLayer& layer, TokenBatch& tokens,
                                     TowerScratch& scratch) const {
  const std::int64_t width = config_.d_model, inner = config_.inner(), rows = std::ssize(scratch.rows);
  float* gathered = reserve(scratch.gathered, rows * width);
  float* normed = reserve(scratch.normed, rows * width);
  float* qkv = reserve(scratch.qkv, rows * 3 * inner);
  float* mixed = reserve(scratch.attended, rows * inner);
  for (std::int64_t r = 0; r < rows; ++r)
    std::copy_n(tokens.x.data() + scratch.rows[r] * width, width, gathered + r * width);
  normalise(layer.norm, gathered, rows, normed);
  ops_.dense(layer.q, normed, width, rows, qkv, 3 * inner, Write::store);
  ops_.dense(layer.kv, normed, width, rows, qkv + inner, 3 * inner, Write::store);
  std::int64_t first = 0;
  for (const std::int64_t size : scratch.windows) {
    Attention attention = Attention::among(size, config_.num_heads, config_.d_kv, qkv + first * 3 * inner);
    attention.scratch = reserve(scratch.scores, attention_scratch(size, size, config_.d_kv));
    attention.out = mixed + first * inner;
    ops_.attention(attention);
    first += size;
  }
  ops_.dense(layer.o, mixed, inner, rows, gathered, width, Write::add);
  for (std::int64_t r = 0; r < rows; ++r)
    std::copy_n(gathered + r * width, width, tokens.x.data() + scratch.rows[r] * width);
}

void Chronos2Encoder::feed_forward(const Layer& layer, TokenBatch& tokens, TowerScratch& scratch) const {
  const std::int64_t width = config_.d_model, inside = row_stride(config_.d_ff);
  by_slices(tokens.rows(), [&](std::int64_t first, std::int64_t rows) {
    float* x = tokens.x.data() + first * width;
    float* normed = reserve(scratch.normed, rows * width);
    float* hidden = reserve(scratch.hidden, rows * inside);
    normalise(layer.norm, x, rows, normed);
    dense_activated(ops_, layer.wi, activation_, normed, width, rows, hidden);
    ops_.dense(layer.wo, hidden, inside, rows, x, width, Write::add);
  });
}

void Chronos2Encoder::encode(TokenBatch& tokens, std::span<const std::int64_t> group_sizes, std::int64_t last,
                             TowerScratch& scratch, Floats& states) const {
  const std::int64_t width = config_.d_model;
  SHELFCAST_ASSERT(std::accumulate(group_sizes.begin(), group_sizes.end(), std::int64_t{0}) ==
                   std::ssize(tokens.series));
  for (std::size_t i = 0; i + 1 < layers_.size(); ++i) {
    attend_time(layers_[i].time, tokens, scratch);
    attend_groups(layers_[i], group_sizes, tokens, scratch);
    feed_forward(layers_[i], tokens, scratch);
  }
  TokenBatch& ends = scratch.ends;
  ends.clear();
  for (const TokenBatch::Span& span : tokens.series) {
    SHELFCAST_ASSERT(span.tokens >= last);
    const std::int64_t from = span.first_row + span.tokens - last;
    ends.series.push_back({ends.rows(), last, false});
    float* x = reserve(ends.x, (ends.rows() + last) * width) + ends.rows() * width;
    std::copy_n(tokens.x.data() + from * width, last * width, x);
    ends.position.insert(ends.position.end(), tokens.position.begin() + from,
                         tokens.position.begin() + from + last);
  }
  attend_time_at_ends(layers_.back().time, tokens, scratch);
  attend_groups(layers_.back(), group_sizes, ends, scratch);
  feed_forward(layers_.back(), ends, scratch);
  normalise(norm_, ends.x.data(), ends.rows(), reserve(states, ends.rows() * width));
}

}  // namespace shelfcast::scorer
