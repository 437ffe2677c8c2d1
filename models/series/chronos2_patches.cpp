#include "models/series/chronos2_patches.h"

#include <fmt/format.h>

#include "base/error.h"

namespace shelfcast::models {

namespace {

void check(const Chronos2Inputs& inputs, const Chronos2Config& config) {
  const at::Tensor& context = inputs.context_bt;
  if (context.dim() != 2 || context.size(0) < 1 || context.size(1) < 1) {
    throw input_error("Chronos-2 got no context",
                      "it needs at least one series and one step, even if missing");
  }
  if (inputs.patches < 1)
    throw input_error(fmt::format("Chronos-2 got patches {}", inputs.patches), "it must be at least 1");
  const at::Tensor& ids = inputs.group_ids_b;
  if (ids.defined() && (ids.dim() != 1 || ids.size(0) != context.size(0))) {
    throw input_error("Chronos-2 got group ids that do not fit",
                      "there must be one for each row of the context");
  }
  const at::Tensor& future = inputs.future_bh;
  if (!future.defined()) return;
  if (future.dim() != 2 || future.size(0) != context.size(0)) {
    throw input_error("Chronos-2 got a known future that does not fit",
                      "there must be a row of it for each row of the context");
  }
  if (future.size(1) > inputs.patches * config.patch_size) {
    throw input_error(
        fmt::format("Chronos-2 got {} known steps ahead", future.size(1)),
        fmt::format("{} output patches reach {} steps", inputs.patches, inputs.patches * config.patch_size));
  }
}

// Values (0 where there are none) and whether there are, [b, h] each, with `left` and `right` steps of
// neither added.
struct Observed {
  at::Tensor values, mask;
  Observed padded(std::int64_t left, std::int64_t right) const {
    return {at::constant_pad_nd(values, {left, right}, 0), at::constant_pad_nd(mask, {left, right}, 0)};
  }
};

// [b, n, 3p], patches beginning `stride` steps apart; `first_place` is the place in time of the first.
at::Tensor in_patches(const Observed& x, std::int64_t patch, std::int64_t stride, bool past,
                      std::int64_t time_scale) {
  const at::Tensor values = x.values.unfold(1, patch, stride), mask = x.mask.unfold(1, patch, stride);
  // As published, places are counted as if patches never overlapped.
  const std::int64_t steps = values.size(1) * patch, first = past ? -steps : 0;
  const at::Tensor places = at::arange(first, first + steps, values.options())
                                .div(static_cast<double>(time_scale))
                                .view({-1, patch});
  return at::cat({places.expand_as(values), values, mask}, 2);
}

}  // namespace

at::Tensor scaled_by(const at::Tensor& x_bh, const at::Tensor& loc_b, const at::Tensor& scale_b,
                     bool arcsinh) {
  const at::Tensor scaled = (x_bh - loc_b.unsqueeze(1)) / scale_b.unsqueeze(1);
  return arcsinh ? at::asinh(scaled) : scaled;
}

Chronos2Patches chronos2_patches(const Chronos2Inputs& inputs, const Chronos2Config& config) {
  check(inputs, config);
  at::Tensor context = inputs.context_bt;
  if (context.size(1) > config.context_length)
    context = context.narrow(1, context.size(1) - config.context_length, config.context_length);
  return chronos2_patches(normalise(context, 0.0), inputs.future_bh, inputs.patches, config);
}

Chronos2Patches chronos2_patches(const Normalised& norm, const at::Tensor& future_bh, std::int64_t patches,
                                 const Chronos2Config& config) {
  const at::TensorOptions options = norm.scaled_bt.options();
  const std::int64_t patch = config.patch_size, series = norm.scaled_bt.size(0),
                     steps = norm.scaled_bt.size(1), ahead = patches * patch;
  const Observed past = Observed{config.use_arcsinh ? at::asinh(norm.scaled_bt) : norm.scaled_bt,
                                 norm.observed_bt.to(options.dtype())}
                            .padded((patch - steps % patch) % patch, 0);
  Observed future{at::zeros({series, ahead}, options), at::zeros({series, ahead}, options)};
  if (future_bh.defined()) {
    const at::Tensor known = future_bh.isnan().logical_not();
    const at::Tensor scaled = scaled_by(future_bh, norm.loc_b, norm.scale_b, config.use_arcsinh);
    future =
        Observed{at::where(known, scaled, at::zeros({}, scaled.options())), known.to(scaled.scalar_type())}
            .padded(0, ahead - known.size(1));
  }

  Chronos2Patches result;
  const at::Tensor context_patches =
      in_patches(past, patch, config.input_patch_stride, /*past=*/true, config.time_encoding_scale);
  result.patches = at::cat(
      {context_patches, in_patches(future, patch, patch, /*past=*/false, config.time_encoding_scale)}, 1);
  result.context_patches = context_patches.size(1);
  const at::Tensor observed = context_patches.narrow(2, 2 * patch, patch).sum(2) > 0;
  const std::int64_t always = patches + (config.use_reg_token ? 1 : 0);
  result.attended_bl = at::cat({observed, at::ones({series, always}, observed.options())}, 1);
  result.loc_b = norm.loc_b;
  result.scale_b = norm.scale_b;
  return result;
}

}  // namespace shelfcast::models
