#include "trainer/masked_patches.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "base/random.h"

namespace shelfcast::trainer {
namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

bool any_observed(std::span<const float> values) {
  return std::ranges::any_of(values, [](float value) { return !std::isnan(value); });
}

}  // namespace

MaskedPatches::MaskedPatches(double share, std::uint64_t seed, std::int64_t context, std::int64_t read,
                             std::int64_t patch)
    : share_(share),
      key_(mix(seed, key_of("masked patches"))),
      context_(context),
      read_(std::min(context, read)),
      patch_(patch) {}

void MaskedPatches::hide(data::Batch& batch, std::int64_t step, std::vector<float>& hidden_bt) const {
  hidden_bt.assign(batch.context_bt.size(), kMissing);
  const std::uint64_t of_step = mix(key_, static_cast<std::uint64_t>(step));
  for (std::int64_t row = 0; row < batch.windows; ++row) {
    RandomStream draw(
        mix(of_step, static_cast<std::uint64_t>(batch.sample_b[static_cast<std::size_t>(row)])));
    const auto of_row = [&](std::vector<float>& values) {
      return std::span(values).subspan(static_cast<std::size_t>(row * context_),
                                       static_cast<std::size_t>(context_));
    };
    const std::span<float> context = of_row(batch.context_bt), hidden = of_row(hidden_bt);
    // Patches end where the context ends; the first may be cut by its beginning.
    for (std::int64_t end = context_; end > context_ - read_; end -= patch_) {
      if (draw.uniform() >= share_) continue;
      for (std::int64_t t = std::max(end - patch_, context_ - read_); t < end; ++t)
        std::swap(context[static_cast<std::size_t>(t)], hidden[static_cast<std::size_t>(t)]);
    }
    if (any_observed(context)) continue;
    for (std::size_t t = 0; t < context.size(); ++t)
      if (!std::isnan(hidden[t])) std::swap(context[t], hidden[t]);
  }
}

}  // namespace shelfcast::trainer
