#include "scorer/forward/chronos2_tower.h"

#include <algorithm>
#include <cmath>

namespace shelfcast::scorer {
namespace {

class TokenWriter {
 public:
  TokenWriter(const TowerConfig& config, Norm norm, std::int64_t stride, TokenBatch& tokens, Floats& rows)
      : config_(config), norm_(norm), stride_(stride), tokens_(tokens), rows_(rows) {}

  // A token at `position` in the sequence, whose first step is `place` steps after the origin.
  void patch(std::int64_t position, std::int64_t place) {
    blank(position);
    for (std::int64_t p = 0; p < config_.patch; ++p)
      row_[p] = static_cast<float>(place + p) / static_cast<float>(config_.time_scale);
  }
  void reg(std::int64_t position) {
    blank(position);
    tokens_.reg.push_back(tokens_.rows() - 1);
  }
  // Step p of the last patch.
  void value(std::int64_t p, float x) {
    if (std::isnan(x)) return;
    const float scaled = (x - norm_.loc) / norm_.scale;
    row_[config_.patch + p] = config_.use_arcsinh ? std::asinh(scaled) : scaled;
    row_[2 * config_.patch + p] = 1.0F;
  }

 private:
  void blank(std::int64_t position) {
    tokens_.position.push_back(static_cast<std::int32_t>(position));
    row_ = reserve(rows_, tokens_.rows() * stride_) + (tokens_.rows() - 1) * stride_;
    std::fill_n(row_, stride_, 0.0F);
  }

  const TowerConfig& config_;
  Norm norm_;
  std::int64_t stride_;
  TokenBatch& tokens_;
  Floats& rows_;
  float* row_ = nullptr;
};

}  // namespace

void append_chronos2_tokens(const TowerConfig& config, const Chronos2Window& window, std::int64_t stride,
                            TokenBatch& tokens, Floats& rows) {
  const std::int64_t patch = config.patch, steps = std::ssize(window.context);
  const std::int64_t patches = config.patches(steps), padding = config.padding(steps);
  const std::int64_t first_row = tokens.rows();
  TokenWriter writer(config, window.norm, stride, tokens, rows);
  for (std::int64_t j = 0; j < patches; ++j) {
    const std::int64_t begin = j * config.stride - padding, first = std::max<std::int64_t>(0, begin);
    const std::span<const float> own = window.context.subspan(first, begin + patch - first);
    if (std::ranges::all_of(own, [](float x) { return std::isnan(x); })) continue;
    // As published, places are counted as if patches never overlapped.
    writer.patch(j, (j - patches) * patch);
    for (std::int64_t i = 0; i < std::ssize(own); ++i) writer.value(first - begin + i, own[i]);
  }
  const std::int64_t reg = config.use_reg_token ? 1 : 0;
  if (reg == 1) writer.reg(patches);
  for (std::int64_t j = 0; j < window.patches; ++j) {
    writer.patch(patches + reg + j, j * patch);
    for (std::int64_t p = 0; p < std::min(patch, std::ssize(window.future) - j * patch); ++p)
      writer.value(p, window.future[j * patch + p]);
  }
  tokens.series.push_back({first_row, tokens.rows() - first_row, false});
}

// REG is row 1; a tower without it has one row.
std::vector<float> read_reg(const TowerConfig& config, Weights& weights) {
  const bool one_row = !config.use_reg_token && weights.shape("shared.weight").at(0) == 1;
  const std::vector<float> shared = weights.take("shared.weight", {one_row ? 1 : 2, config.d_model});
  return {shared.begin() + config.d_model, shared.end()};
}

Chronos2Tower::Chronos2Tower(const ModelConfig& config, const Ops& ops, Weights& weights)
    : config_(config.tower),
      patches_((config.horizon + config_.patch - 1) / config_.patch),
      members_(config.group_members()),
      reg_(read_reg(config_, weights)),
      encoder_(config_, members_ > 1 ? Chronos2Encoder::Groups::of_any_size : Chronos2Encoder::Groups::of_one,
               ops, weights) {}

void Chronos2Tower::append(std::span<const float> context, std::span<const float> future, Norm norm,
                           std::int64_t stride, TokenBatch& tokens, Floats& rows) const {
  append_chronos2_tokens(config_, {context, future, norm, patches_}, stride, tokens, rows);
}

void Chronos2Tower::states(TokenBatch& tokens, TowerScratch& scratch, Floats& states) const {
  const std::int64_t groups = std::ssize(tokens.series) / members_;
  encoder_.encode(tokens, std::vector<std::int64_t>(static_cast<std::size_t>(groups), members_), patches_,
                  scratch, states);
  const std::int64_t numbers = patches_ * config_.d_model;
  for (std::int64_t group = 1; members_ > 1 && group < groups; ++group)
    std::copy_n(states.begin() + group * members_ * numbers, numbers, states.begin() + group * numbers);
}

}  // namespace shelfcast::scorer
