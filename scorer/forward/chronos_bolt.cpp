#include "scorer/forward/chronos_bolt.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "base/error.h"
#include "scorer/forward/residual_block.h"

namespace shelfcast::scorer {

std::int64_t relative_bucket(std::int64_t distance, std::int64_t buckets, std::int64_t max_distance) {
  const std::int64_t half = buckets / 2, exact = half / 2;
  const std::int64_t sign = distance > 0 ? half : 0, size = std::abs(distance);
  if (size < exact) return sign + size;
  const float steps =
      std::log(static_cast<float>(size) / static_cast<float>(exact)) /
      static_cast<float>(std::log(static_cast<double>(max_distance) / static_cast<double>(exact))) *
      static_cast<float>(half - exact);
  return sign + std::min(half - 1, exact + static_cast<std::int64_t>(steps));
}

ChronosBolt::ChronosBolt(const ModelConfig& config, const Ops& ops, Weights& weights)
    : config_(config.tower),
      ops_(ops),
      activation_(activation_function(config_.activation)),
      inner_(config_.num_heads * config_.d_kv) {
  reach_ = config.patches();  // with REG the last position; without it one to spare
  read_position_bias(weights);
  unattended_mask_.assign(static_cast<std::size_t>(reach_ + 1), std::numeric_limits<float>::lowest());
  for (std::int64_t i = 0; i < config_.num_layers; ++i) encoder_.push_back(read_encoder_layer(weights, i));
  for (std::int64_t i = 0; i < config_.num_decoder_layers; ++i)
    decoder_.push_back(read_decoder_layer(weights, i));
  weights.ignore("decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight");
  encoder_norm_ = to_floats(weights.take("encoder.final_layer_norm.weight", {config_.d_model}));
  decoder_norm_ = to_floats(weights.take("decoder.final_layer_norm.weight", {config_.d_model}));
  // Row 0 starts the decoder, row 1 is REG; a tower without REG may leave it out.
  const bool one_row = !config_.use_reg_token && weights.shape("shared.weight").at(0) == 1;
  const std::vector<float> shared = weights.take("shared.weight", {one_row ? 1 : 2, config_.d_model});
  reg_.assign(shared.begin() + config_.d_model, shared.end());
  start_decoder({shared.begin(), shared.begin() + config_.d_model});
}

void ChronosBolt::read_position_bias(Weights& weights) {
  const auto table = weights.take("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
                                  {config_.buckets, config_.num_heads});
  const std::int64_t width = 2 * reach_ + 1;
  bias_.resize(static_cast<std::size_t>(config_.num_heads * width));
  for (std::int64_t h = 0; h < config_.num_heads; ++h)
    for (std::int64_t d = -reach_; d <= reach_; ++d)
      bias_[h * width + d + reach_] =
          table[relative_bucket(d, config_.buckets, config_.max_distance) * config_.num_heads + h];
}

ChronosBolt::FeedForward ChronosBolt::read_feed_forward(Weights& weights, const std::string& prefix) const {
  const std::string name = prefix + "DenseReluDense.";
  FeedForward layer{
      to_floats(weights.take(prefix + "layer_norm.weight", {config_.d_model})),
      read_dense(ops_, weights, name + (config_.gated ? "wi_1" : "wi"), config_.d_ff, config_.d_model),
      read_dense(ops_, weights, name + "wo", config_.d_model, config_.d_ff),
      {}};
  if (config_.gated) layer.gate = read_dense(ops_, weights, name + "wi_0", config_.d_ff, config_.d_model);
  return layer;
}

ChronosBolt::EncoderLayer ChronosBolt::read_encoder_layer(Weights& weights, std::int64_t index) const {
  const std::string prefix = "encoder.block." + std::to_string(index) + ".layer.";
  const std::string attention = prefix + "0.SelfAttention.";
  std::vector<float> qkv;
  for (const char* part : {"q", "k", "v"}) {
    const auto rows = weights.take(attention + part + ".weight", {inner_, config_.d_model});
    qkv.insert(qkv.end(), rows.begin(), rows.end());
  }
  return {to_floats(weights.take(prefix + "0.layer_norm.weight", {config_.d_model})),
          pack(ops_, qkv, 3 * inner_, config_.d_model),
          read_dense(ops_, weights, attention + "o", config_.d_model, inner_),
          read_feed_forward(weights, prefix + "1.")};
}

ChronosBolt::DecoderLayer ChronosBolt::read_decoder_layer(Weights& weights, std::int64_t index) const {
  const std::string prefix = "decoder.block." + std::to_string(index) + ".layer.";
  const std::string self = prefix + "0.SelfAttention.", cross = prefix + "1.EncDecAttention.";
  const std::int64_t width = config_.d_model, head = config_.d_kv;
  weights.ignore(self + "q.weight");
  weights.ignore(self + "k.weight");
  DecoderLayer layer;
  layer.self_norm = to_floats(weights.take(prefix + "0.layer_norm.weight", {width}));
  layer.cross_norm = to_floats(weights.take(prefix + "1.layer_norm.weight", {width}));
  layer.self_v = read_dense(ops_, weights, self + "v", inner_, width);
  layer.self_o = read_dense(ops_, weights, self + "o", width, inner_);
  layer.q = read_dense(ops_, weights, cross + "q", inner_, width);
  layer.o = read_dense(ops_, weights, cross + "o", width, inner_);
  const auto key = weights.take(cross + "k.weight", {inner_, width});
  const auto value = weights.take(cross + "v.weight", {inner_, width});
  for (std::int64_t h = 0; h < config_.num_heads; ++h) {
    std::vector<float> transposed(static_cast<std::size_t>(width * head));
    for (std::int64_t d = 0; d < width; ++d)
      for (std::int64_t k = 0; k < head; ++k) transposed[d * head + k] = key[(h * head + k) * width + d];
    layer.key.push_back(pack(ops_, transposed, width, head));
    layer.value.push_back(pack(ops_, std::span(value).subspan(h * head * width, head * width), head, width));
  }
  layer.feed = read_feed_forward(weights, prefix + "2.");
  return layer;
}

void ChronosBolt::start_decoder(const std::vector<float>& first_token) {
  TowerScratch scratch;
  start_ = to_floats(first_token);
  self_attend(decoder_.front(), 1, start_.data(), scratch);
  make_queries(decoder_.front(), 1, start_.data(), scratch);
  start_queries_.assign(scratch.query.begin(), scratch.query.begin() + config_.num_heads * config_.d_model);
}

void ChronosBolt::append(std::span<const float> context, std::span<const float> /*future*/, Norm norm,
                         std::int64_t stride, TokenBatch& tokens, Floats& rows) const {
  const std::int64_t patch = config_.patch, steps = std::ssize(context), padding = config_.padding(steps);
  const std::int64_t patches = config_.patches(steps);
  TokenBatch::Span span{tokens.rows(), 0, false};
  const auto first_step = [&](std::int64_t j) {
    return std::max<std::int64_t>(0, j * config_.stride - padding);
  };
  const auto own = [&](std::int64_t j) {
    return context.subspan(first_step(j), j * config_.stride - padding + patch - first_step(j));
  };
  for (std::int64_t j = 0; j < patches; ++j)
    if (!std::ranges::all_of(own(j), [](float x) { return std::isnan(x); }))
      tokens.position.push_back(static_cast<std::int32_t>(j));
  if (config_.use_reg_token) {
    tokens.reg.push_back(tokens.rows());
    tokens.position.push_back(static_cast<std::int32_t>(patches));
  }
  if (tokens.rows() == span.first_row) {
    span.unattended = true;
    for (std::int64_t j = 0; j < patches; ++j) tokens.position.push_back(static_cast<std::int32_t>(j));
  }
  span.tokens = tokens.rows() - span.first_row;
  tokens.series.push_back(span);
  float* row = reserve(rows, tokens.rows() * stride) + span.first_row * stride;
  for (std::int64_t i = span.first_row; i < tokens.rows(); ++i, row += stride) {
    std::fill_n(row, stride, 0.0F);
    const std::int64_t j = tokens.position[i];
    if (j == patches) continue;
    const std::span<const float> values = own(j);
    for (std::int64_t v = 0, p = patch - std::ssize(values); p < patch; ++v, ++p) {
      if (std::isnan(values[v])) continue;
      row[p] = (values[v] - norm.loc) / norm.scale;
      row[patch + p] = 1.0F;
    }
  }
}

void ChronosBolt::states(TokenBatch& tokens, TowerScratch& scratch, Floats& states) const {
  encode(tokens, scratch);
  decode(tokens, scratch, states);
}

void ChronosBolt::feed_forward(const FeedForward& layer, std::int64_t rows, float* x,
                               TowerScratch& scratch) const {
  const std::int64_t width = config_.d_model, inside = row_stride(config_.d_ff);
  float* normed = reserve(scratch.normed, rows * width);
  float* hidden = reserve(scratch.hidden, rows * inside);
  ops_.rms_norm(x, layer.norm.data(), static_cast<float>(config_.epsilon), rows, width, normed);
  if (config_.gated) {
    float* gate = reserve(scratch.gate, rows * inside);
    dense_activated(ops_, layer.gate, activation_, normed, width, rows, gate);
    ops_.dense(layer.wi, normed, width, rows, hidden, inside, Write::store);
    for (std::int64_t i = 0; i < rows * inside; ++i) hidden[i] *= gate[i];
  } else {
    dense_activated(ops_, layer.wi, activation_, normed, width, rows, hidden);
  }
  ops_.dense(layer.wo, hidden, inside, rows, x, width, Write::add);
}

void ChronosBolt::encode(TokenBatch& tokens, TowerScratch& scratch) const {
  const std::int64_t rows = tokens.rows(), width = config_.d_model;
  float* normed = reserve(scratch.normed, rows * width);
  float* qkv = reserve(scratch.qkv, rows * 3 * inner_);
  float* attended = reserve(scratch.attended, rows * inner_);
  float* room = reserve(scratch.scores, attention_scratch(reach_ + 1, reach_ + 1, config_.d_kv));
  for (const EncoderLayer& layer : encoder_) {
    ops_.rms_norm(tokens.x.data(), layer.norm.data(), static_cast<float>(config_.epsilon), rows, width,
                  normed);
    ops_.dense(layer.qkv, normed, width, rows, qkv, 3 * inner_, Write::store);
    for (const TokenBatch::Span& span : tokens.series) {
      Attention attention =
          Attention::among(span.tokens, config_.num_heads, config_.d_kv, qkv + span.first_row * 3 * inner_);
      attention.bias = {bias_.data(), reach_, tokens.position.data() + span.first_row,
                        span.unattended ? unattended_mask_.data() : nullptr};
      attention.scratch = room;
      attention.out = attended + span.first_row * inner_;
      ops_.attention(attention);
    }
    ops_.dense(layer.o, attended, inner_, rows, tokens.x.data(), width, Write::add);
    feed_forward(layer.feed, rows, tokens.x.data(), scratch);
  }
  ops_.rms_norm(tokens.x.data(), encoder_norm_.data(), static_cast<float>(config_.epsilon), rows, width,
                tokens.x.data());
}

void ChronosBolt::self_attend(const DecoderLayer& layer, std::int64_t rows, float* y,
                              TowerScratch& scratch) const {
  float* normed = reserve(scratch.normed, rows * config_.d_model);
  float* values = reserve(scratch.attended, rows * inner_);
  ops_.rms_norm(y, layer.self_norm.data(), static_cast<float>(config_.epsilon), rows, config_.d_model,
                normed);
  ops_.dense(layer.self_v, normed, config_.d_model, rows, values, inner_, Write::store);
  ops_.dense(layer.self_o, values, inner_, rows, y, config_.d_model, Write::add);
}

void ChronosBolt::make_queries(const DecoderLayer& layer, std::int64_t rows, const float* y,
                               TowerScratch& scratch) const {
  const std::int64_t width = config_.d_model, heads = config_.num_heads;
  float* normed = reserve(scratch.normed, rows * width);
  float* q = reserve(scratch.attended, rows * inner_);
  float* queries = reserve(scratch.query, rows * heads * width);
  ops_.rms_norm(y, layer.cross_norm.data(), static_cast<float>(config_.epsilon), rows, width, normed);
  ops_.dense(layer.q, normed, width, rows, q, inner_, Write::store);
  for (std::int64_t h = 0; h < heads; ++h)
    ops_.dense(layer.key[h], q + h * config_.d_kv, inner_, rows, queries + h * width, heads * width,
               Write::store);
}

void ChronosBolt::cross_attend(const DecoderLayer& layer, const TokenBatch& tokens, const float* queries,
                               std::int64_t query_stride, float* y, TowerScratch& scratch) const {
  const std::int64_t width = config_.d_model, heads = config_.num_heads, count = std::ssize(tokens.series);
  float* pooled = reserve(scratch.pooled, count * heads * width);
  float* scores = reserve(scratch.scores, reach_ + 1);
  float* attended = reserve(scratch.attended, count * inner_);
  for (std::int64_t b = 0; b < count; ++b) {
    const TokenBatch::Span& span = tokens.series[b];
    ops_.pooled_attention(
        {span.tokens, heads, width, queries + b * query_stride, tokens.x.data() + span.first_row * width,
         span.unattended ? unattended_mask_.data() : nullptr, scores, pooled + b * heads * width});
  }
  for (std::int64_t h = 0; h < heads; ++h)
    ops_.dense(layer.value[h], pooled + h * width, heads * width, count, attended + h * config_.d_kv, inner_,
               Write::store);
  ops_.dense(layer.o, attended, inner_, count, y, width, Write::add);
}

void ChronosBolt::decode(const TokenBatch& tokens, TowerScratch& scratch, Floats& state) const {
  const std::int64_t width = config_.d_model, count = std::ssize(tokens.series);
  float* y = reserve(scratch.y, count * width);
  for (std::int64_t b = 0; b < count; ++b) std::copy(start_.begin(), start_.end(), y + b * width);
  for (std::size_t i = 0; i < decoder_.size(); ++i) {
    const DecoderLayer& layer = decoder_[i];
    if (i == 0) {
      cross_attend(layer, tokens, start_queries_.data(), 0, y, scratch);
    } else {
      self_attend(layer, count, y, scratch);
      make_queries(layer, count, y, scratch);
      cross_attend(layer, tokens, scratch.query.data(), config_.num_heads * width, y, scratch);
    }
    feed_forward(layer.feed, count, y, scratch);
  }
  ops_.rms_norm(y, decoder_norm_.data(), static_cast<float>(config_.epsilon), count, width,
                reserve(state, count * width));
}

}  // namespace shelfcast::scorer
