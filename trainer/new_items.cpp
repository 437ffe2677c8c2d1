#include "trainer/new_items.h"

#include <algorithm>
#include <limits>

#include "base/random.h"

namespace shelfcast::trainer {
namespace {

constexpr std::uint64_t kMostSteps = 27;  // of history that a new item is shown with

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

// Makes the first `steps` of each of `columns` rows of `length` values that belong to `row` missing.
template <typename T>
void clear_columns(std::vector<T>& values, std::int64_t row, std::int64_t columns, std::int64_t length,
                   std::int64_t steps, T missing) {
  for (std::int64_t c = 0; c < columns; ++c)
    std::fill_n(values.begin() + (row * columns + c) * length, steps, missing);
}

}  // namespace

NewItems::NewItems(double share, std::uint64_t seed, const data::FeatureSpec& spec,
                   const std::string& item_level)
    : share_(share),
      key_(mix(seed, key_of("new items"))),
      context_(spec.context),
      past_numeric_(std::ssize(spec.past_numeric)),
      past_categorical_(std::ssize(spec.past_categorical)),
      statics_(std::ssize(spec.statics)) {
  for (std::int64_t i = 0; i < statics_; ++i)
    if (!item_level.empty() && spec.statics[static_cast<std::size_t>(i)].name == item_level) item_ = i;
}

void NewItems::show(data::Batch& batch) const {
  if (share_ == 0) return;
  for (std::int64_t row = 0; row < batch.windows; ++row) {
    RandomStream draw(mix(key_, static_cast<std::uint64_t>(batch.sample_b[static_cast<std::size_t>(row)])));
    if (draw.uniform() >= share_) continue;
    const bool some = draw.uniform() < 0.5;
    hide(batch, row, some ? static_cast<std::int64_t>(1 + draw.below(kMostSteps)) : 0);
  }
}

void NewItems::hide(data::Batch& batch, std::int64_t row, std::int64_t kept_steps) const {
  const std::int64_t hidden = std::max<std::int64_t>(0, context_ - kept_steps);
  std::fill_n(batch.context_bt.begin() + row * context_, hidden, kMissing);
  if (!batch.inventory_bu.empty())
    std::fill_n(batch.inventory_bu.begin() + row * (std::ssize(batch.inventory_bu) / batch.windows), hidden,
                kMissing);
  clear_columns(batch.past_bnt, row, past_numeric_, context_, hidden, kMissing);
  clear_columns(batch.past_codes_bct, row, past_categorical_, context_, hidden, std::int32_t{0});
  if (item_) batch.statics_bs[static_cast<std::size_t>(row * statics_ + *item_)] = 0;
}

}  // namespace shelfcast::trainer
