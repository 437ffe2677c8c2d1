#include "trainer/augment.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/random.h"

namespace shelfcast::trainer {
namespace {

double standard_deviation(std::span<const float> values) {
  double sum = 0, squares = 0, count = 0;
  for (const float value : values) {
    if (std::isnan(value)) continue;
    sum += value;
    squares += static_cast<double>(value) * value;
    ++count;
  }
  if (count == 0) return 0;
  const double mean = sum / count;
  return std::sqrt(std::max(0.0, squares / count - mean * mean));
}

// The mean size of what is observed; 0 = nothing, or nothing but zeros.
double mean_size(std::span<const float> values) {
  double sum = 0, count = 0;
  for (const float value : values) {
    if (std::isnan(value)) continue;
    sum += std::abs(value);
    ++count;
  }
  return count == 0 ? 0 : sum / count;
}

void multiply(std::span<float> values, float factor) {
  for (float& value : values) value *= factor;
}

// The row of an array with `width` numbers a window.
auto row_of(auto& values, std::int64_t row, std::int64_t width) {
  return std::span(values).subspan(static_cast<std::size_t>(row * width), static_cast<std::size_t>(width));
}

}  // namespace

Augment::Augment(const AugmentConfig& config, std::uint64_t seed, const data::FeatureSpec& spec)
    : config_(config),
      key_(mix(seed, key_of("augment"))),
      context_(spec.context),
      horizon_(spec.horizon),
      past_(std::ssize(spec.past_numeric)),
      known_(std::ssize(spec.known_numeric)) {}

void Augment::change(data::Batch& batch, std::int64_t step, const data::Batch& partners) const {
  if (!config_.active()) return;
  const std::uint64_t of_step = mix(key_, static_cast<std::uint64_t>(step));
  for (std::int64_t row = 0; row < batch.windows; ++row) {
    const auto sample = static_cast<std::uint64_t>(batch.sample_b[static_cast<std::size_t>(row)]);
    const std::uint64_t key = mix(of_step, sample);
    if (RandomStream(mix(key, key_of("share"))).uniform() >= config_.share) continue;
    if (config_.mix > 0) mix_in(batch, partners, row, mix(key, key_of("mix")));
    const std::span<float> context = row_of(batch.context_bt, row, context_);
    const auto length = static_cast<std::int64_t>(std::llround(config_.warp * static_cast<double>(context_)));
    if (length > 1) {
      RandomStream draw(mix(key, key_of("warp")));
      const auto first =
          static_cast<std::int64_t>(draw.below(static_cast<std::uint64_t>(context_ - length + 1)));
      warp_window(context, first, length, draw.uniform() < 0.5 ? 0.5 : 2.0);
    }
    jitter(context, config_.jitter, mix(key, key_of("jitter")));
    if (config_.scale > 0) {
      const auto factor =
          static_cast<float>(std::exp(config_.scale * RandomStream(mix(key, key_of("scale"))).normal()));
      multiply(context, factor);
      multiply(row_of(batch.target_bh, row, horizon_), factor);
      if (!batch.bound_bh.empty()) multiply(row_of(batch.bound_bh, row, horizon_), factor);
      if (!batch.inventory_bu.empty()) multiply(row_of(batch.inventory_bu, row, context_ + horizon_), factor);
    }
  }
}

// Histories meet in units of their own mean sizes, and the sum is in those of the window.
void Augment::mix_in(data::Batch& batch, const data::Batch& partners, std::int64_t row,
                     std::uint64_t key) const {
  const std::span<float> context = row_of(batch.context_bt, row, context_);
  const auto other = row_of(partners.context_bt, row, context_);
  const double own_size = mean_size(context), other_size = mean_size(other);
  if (own_size == 0 || other_size == 0) return;
  RandomStream draw(key);
  const double a = draw.gamma(config_.mix), b = draw.gamma(config_.mix);
  if (!(a + b > 0)) return;
  const double share = std::max(a, b) / (a + b), part = (1 - share) * own_size / other_size;
  mix_values(context, other, share, part);
  const bool bounded = !batch.bound_bh.empty();
  mix_targets(row_of(batch.target_bh, row, horizon_),
              bounded ? row_of(batch.bound_bh, row, horizon_) : std::span<float>(),
              row_of(partners.target_bh, row, horizon_),
              bounded ? row_of(partners.bound_bh, row, horizon_) : std::span<const float>(), share, part);
  if (!batch.inventory_bu.empty())
    mix_values(row_of(batch.inventory_bu, row, context_ + horizon_),
               row_of(partners.inventory_bu, row, context_ + horizon_), share, part);
  const std::int64_t past = past_ * context_, known = known_ * (context_ + horizon_);
  mix_values(row_of(batch.past_bnt, row, past), row_of(partners.past_bnt, row, past), share, 1 - share);
  mix_values(row_of(batch.known_bnu, row, known), row_of(partners.known_bnu, row, known), share, 1 - share);
}

std::uint64_t partner_key(std::uint64_t seed) { return mix(seed, key_of("augment partners")); }

void mix_values(std::span<float> values, std::span<const float> others, double share, double part) {
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(share * values[i] + part * others[i]);
}

void mix_targets(std::span<float> targets, std::span<float> bounds, std::span<const float> other_targets,
                 std::span<const float> other_bounds, double share, double part) {
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    const bool exact = !std::isnan(targets[i]) && !std::isnan(other_targets[i]);
    const double own = std::isnan(targets[i]) ? bounds[i] : targets[i],
                 other = std::isnan(other_targets[i]) ? other_bounds[i] : other_targets[i];
    bounds[i] =
        exact ? std::numeric_limits<float>::quiet_NaN() : static_cast<float>(share * own + part * other);
  }
  mix_values(targets, other_targets, share, part);
}

void jitter(std::span<float> values, double deviation, std::uint64_t key) {
  const double size = deviation * standard_deviation(values);
  if (size == 0) return;
  RandomStream draw(key);
  for (float& value : values) value += static_cast<float>(size * draw.normal());
}

void warp_window(std::span<float> values, std::int64_t first, std::int64_t length, double factor) {
  const std::vector<float> before(values.begin(), values.end());
  const auto last = static_cast<double>(before.size() - 1), from = static_cast<double>(first),
             inside = static_cast<double>(length);
  const double warped_last = last + inside * (factor - 1.0);
  for (std::size_t i = 1; i + 1 < values.size(); ++i) {
    const double at = static_cast<double>(i) * warped_last / last;
    double source = at;
    if (at >= from + inside * factor) {
      source = at - inside * (factor - 1.0);
    } else if (at > from) {
      source = from + (at - from) / factor;
    }
    const auto left = std::min(static_cast<std::size_t>(source), before.size() - 2);
    const auto part = static_cast<float>(source - static_cast<double>(left));
    values[i] = part == 0.0F ? before[left] : before[left] * (1.0F - part) + before[left + 1] * part;
  }
}

}  // namespace shelfcast::trainer
