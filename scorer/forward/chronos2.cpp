#include "scorer/forward/chronos2.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "scorer/forward/instance_norm.h"

namespace shelfcast::scorer {
namespace {

// REG is row 1; a tower without it has one row.
std::vector<float> read_reg(const Chronos2Config& config, Weights& weights) {
  const bool one_row = !config.use_reg_token && weights.shape("shared.weight").at(0) == 1;
  const std::vector<float> shared = weights.take("shared.weight", {one_row ? 1 : 2, config.d_model});
  return {shared.begin() + config.d_model, shared.end()};
}

// [places in time, values, whether there are any] of one patch.
class InputRow {
 public:
  InputRow(float* row, std::int64_t patch) : row_(row), patch_(patch) { std::fill_n(row, 3 * patch, 0.0F); }

  void places(std::int64_t first, std::int64_t time_scale) {
    for (std::int64_t p = 0; p < patch_; ++p)
      row_[p] = static_cast<float>(first + p) / static_cast<float>(time_scale);
  }
  void value(std::int64_t p, float scaled) {
    row_[patch_ + p] = scaled;
    row_[2 * patch_ + p] = 1.0F;
  }

 private:
  float* row_;
  std::int64_t patch_;
};

}  // namespace

Chronos2::Chronos2(const std::filesystem::path& folder, const Ops& ops)
    // Braces: the configuration is read first.
    : Chronos2{read_chronos2_config(folder / "config.json"), ops,
               Weights(folder, {"config.json", "fetch or export the model again"})} {}

Chronos2::Chronos2(const Chronos2Config& config, const Ops& ops, Weights&& weights)
    : config_(config),
      ops_(ops),
      activation_(activation_function(config.activation)),
      reg_(read_reg(config, weights)),
      encoder_(config, ops, weights),
      input_(read_residual_block(ops, weights, "input_patch_embedding", 3 * config.patch, config.d_ff,
                                 config.d_model)),
      output_(read_residual_block(ops, weights, "output_patch_embedding", config.d_model, config.d_ff,
                                  std::ssize(config.quantiles) * config.patch)) {
  weights.check_all_taken();
}

void Chronos2::add_row(const Chronos2Rows& rows, std::int64_t row, std::int64_t patches,
                       Chronos2Scratch& scratch) const {
  const std::int64_t patch = config_.patch, width = 3 * patch;
  const std::int64_t steps = std::min(rows.steps, config_.context_length);
  const std::int64_t context_patches = config_.patches_of(steps), padding = (patch - steps % patch) % patch;
  const float* context = rows.context + (row + 1) * rows.steps - steps;
  const Norm norm = instance_norm(context, steps, 0.0, 1.0F);
  const auto scaled = [&](float x) {
    const float y = (x - norm.loc) / norm.scale;
    return config_.use_arcsinh ? std::asinh(y) : y;
  };
  scratch.loc.push_back(norm.loc);
  scratch.scale.push_back(norm.scale);
  TokenBatch& tokens = scratch.tokens;
  const std::int64_t first_row = tokens.rows();
  const auto append = [&](std::int64_t position) {
    tokens.position.push_back(static_cast<std::int32_t>(position));
    return InputRow(reserve(scratch.patches, tokens.rows() * width) + (tokens.rows() - 1) * width, patch);
  };
  for (std::int64_t j = 0; j < context_patches; ++j) {
    const float* begin = context + j * config_.stride - padding;
    const float* first = std::max(context, begin);
    if (std::all_of(first, begin + patch, [](float x) { return std::isnan(x); })) continue;
    InputRow input = append(j);
    // As published, places are counted as if patches never overlapped.
    input.places((j - context_patches) * patch, config_.time_scale);
    for (const float* x = first; x < begin + patch; ++x)
      if (!std::isnan(*x)) input.value(x - begin, scaled(*x));
  }
  const std::int64_t reg = config_.use_reg_token ? 1 : 0;
  if (reg == 1) append(context_patches);
  for (std::int64_t j = 0; j < patches; ++j) {
    InputRow input = append(context_patches + reg + j);
    input.places(j * patch, config_.time_scale);
    for (std::int64_t p = 0; p < std::min(patch, rows.known - j * patch); ++p)
      if (const float x = rows.future[row * rows.known + j * patch + p]; !std::isnan(x))
        input.value(p, scaled(x));
  }
  tokens.series.push_back({first_row, tokens.rows() - first_row, false});
}

void Chronos2::embed(Chronos2Scratch& scratch, std::int64_t reg_position) const {
  TokenBatch& tokens = scratch.tokens;
  const std::int64_t width = config_.d_model;
  float* x = reserve(tokens.x, tokens.rows() * width);
  input_.apply(ops_, activation_, scratch.patches.data(), tokens.rows(), x, scratch.inside);
  for (std::int64_t r = 0; config_.use_reg_token && r < tokens.rows(); ++r)
    if (tokens.position[r] == reg_position) std::copy(reg_.begin(), reg_.end(), x + r * width);
}

void Chronos2::finish(std::span<const std::int64_t> group_sizes, std::int64_t patches,
                      Chronos2Scratch& scratch, float* quantiles) const {
  const std::int64_t patch = config_.patch, levels = std::ssize(config_.quantiles);
  const std::int64_t rows = std::ssize(scratch.loc), reach = patches * patch;
  encoder_.encode(scratch.tokens, group_sizes, patches, scratch.encoder, scratch.states);
  float* out = reserve(scratch.out, rows * patches * levels * patch);
  output_.apply(ops_, activation_, scratch.states.data(), rows * patches, out, scratch.inside);
  for (std::int64_t b = 0; b < rows; ++b)
    for (std::int64_t f = 0; f < patches; ++f)
      for (std::int64_t q = 0; q < levels; ++q)
        for (std::int64_t p = 0; p < patch; ++p) {
          const float scaled = *out++;
          quantiles[(b * levels + q) * reach + f * patch + p] =
              (config_.use_arcsinh ? std::sinh(scaled) : scaled) * scratch.scale[b] + scratch.loc[b];
        }
}

void Chronos2::forward(const Chronos2Rows& rows, std::int64_t patches, Chronos2Scratch& scratch,
                       float* quantiles) const {
  SHELFCAST_ASSERT(rows.steps >= 1 && patches >= 1 && patches <= config_.max_output_patches);
  SHELFCAST_ASSERT(rows.known <= patches * config_.patch);
  const std::int64_t context_patches = config_.patches_of(std::min(rows.steps, config_.context_length));
  const std::int64_t per_row = std::ssize(config_.quantiles) * patches * config_.patch;
  const std::span<const std::int64_t> groups(rows.group_sizes);
  std::int64_t row = 0;
  for (std::size_t first = 0, last = 0; first < groups.size(); first = last) {
    scratch.tokens.clear();
    scratch.loc.clear();
    scratch.scale.clear();
    const std::int64_t begin = row;
    do {
      for (const std::int64_t end = row + groups[last]; row < end; ++row)
        add_row(rows, row, patches, scratch);
      ++last;
    } while (last < groups.size() &&
             scratch.tokens.rows() + groups[last] * (context_patches + patches) < kRowsTogether);
    embed(scratch, context_patches);
    finish(groups.subspan(first, last - first), patches, scratch, quantiles + begin * per_row);
  }
  SHELFCAST_ASSERT(row == rows.rows);
}

}  // namespace shelfcast::scorer
