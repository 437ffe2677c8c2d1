#include "scorer/forward/chronos2.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "scorer/forward/chronos2_config.h"
#include "scorer/forward/chronos2_tower.h"

namespace shelfcast::scorer {

Chronos2::Chronos2(const std::filesystem::path& folder, const Ops& ops)
    // Braces: the configuration is read first.
    : Chronos2{read_chronos2_config(folder / "config.json"), ops,
               Weights(folder, {"config.json", "fetch or export the model again"})} {}

Chronos2::Chronos2(const TowerConfig& config, const Ops& ops, Weights&& weights)
    : config_(config),
      ops_(ops),
      activation_(activation_function(config.activation)),
      reg_(read_reg(config, weights)),
      encoder_(config, Chronos2Encoder::Groups::of_any_size, ops, weights),
      input_(read_residual_block(ops, weights, "input_patch_embedding", 3 * config.patch, config.d_ff,
                                 config.d_model)),
      output_(read_residual_block(ops, weights, "output_patch_embedding", config.d_model, config.d_ff,
                                  std::ssize(config.quantiles) * config.patch)) {
  weights.check_all_taken();
}

void Chronos2::append(const Chronos2Rows& rows, std::int64_t row, std::int64_t patches,
                      Chronos2Scratch& scratch) const {
  const auto steps = static_cast<std::size_t>(std::min(rows.steps, config_.context_length));
  const std::span<const float> context(rows.context + (row + 1) * rows.steps - steps, steps);
  const std::span<const float> future(rows.future + row * rows.known, static_cast<std::size_t>(rows.known));
  scratch.norms.push_back(instance_norm(context, 0.0, 1.0F));
  append_chronos2_tokens(config_, {context, future, scratch.norms.back(), patches}, 3 * config_.patch,
                         scratch.tokens, scratch.patches);
}

void Chronos2::embed(Chronos2Scratch& scratch) const {
  TokenBatch& tokens = scratch.tokens;
  const std::int64_t width = config_.d_model;
  float* x = reserve(tokens.x, tokens.rows() * width);
  input_.apply(ops_, activation_, scratch.patches.data(), tokens.rows(), x, scratch.inside);
  for (const std::int64_t row : tokens.reg) std::ranges::copy(reg_, x + row * width);
}

void Chronos2::finish(std::span<const std::int64_t> group_sizes, std::int64_t patches,
                      Chronos2Scratch& scratch, float* quantiles) const {
  const std::int64_t patch = config_.patch, levels = std::ssize(config_.quantiles), reach = patches * patch;
  const std::int64_t states = std::ssize(scratch.norms) * patches;
  encoder_.encode(scratch.tokens, group_sizes, patches, scratch.tower, scratch.states);
  const float* out = reserve(scratch.out, states * levels * patch);
  output_.apply(ops_, activation_, scratch.states.data(), states, scratch.out.data(), scratch.inside);
  for (const Norm& norm : scratch.norms) {
    for (std::int64_t f = 0; f < patches; ++f)
      for (std::int64_t q = 0; q < levels; ++q)
        for (std::int64_t p = 0; p < patch; ++p) {
          const float scaled = *out++;
          quantiles[q * reach + f * patch + p] =
              (config_.use_arcsinh ? rounded_sinh(scaled) : scaled) * norm.scale + norm.loc;
        }
    quantiles += levels * reach;
  }
}

void Chronos2::forward(const Chronos2Rows& rows, std::int64_t patches, Chronos2Scratch& scratch,
                       float* quantiles) const {
  SHELFCAST_ASSERT(rows.steps >= 1 && patches >= 1 && patches <= most_patches());
  SHELFCAST_ASSERT(rows.known <= patches * config_.patch);
  const std::int64_t per_row = std::ssize(config_.quantiles) * patches * config_.patch;
  const std::int64_t most_tokens =
      config_.patches(std::min(rows.steps, config_.context_length)) + 1 + patches;
  const std::span<const std::int64_t> groups(rows.group_sizes);
  std::int64_t row = 0;
  for (std::size_t first = 0, last = 0; first < groups.size(); first = last) {
    const std::int64_t begin = row;
    scratch.tokens.clear();
    scratch.norms.clear();
    do {
      for (const std::int64_t end = row + groups[last]; row < end; ++row) append(rows, row, patches, scratch);
      ++last;
    } while (last < groups.size() && scratch.tokens.rows() + groups[last] * most_tokens <= kRowsTogether);
    embed(scratch);
    finish(groups.subspan(first, last - first), patches, scratch, quantiles + begin * per_row);
  }
  SHELFCAST_ASSERT(row == rows.rows);
}

}  // namespace shelfcast::scorer
