// Windows shown as those of an item that has just been launched, so that a model learns from words and facts
// what it cannot read off a history.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "data/batch.h"

namespace shelfcast::trainer {

class NewItems {
 public:
  // Of `share` of all windows, drawn by (seed, sample), the history is hidden and the item is one never seen
  // before: the static `item_level` ("" = none) becomes unknown. One half of them has no history at all, the
  // others the last 1 to 27 steps of it.
  NewItems(double share, std::uint64_t seed, const data::FeatureSpec& spec, const std::string& item_level);

  // Targets, columns known ahead and all other statics stay.
  void show(data::Batch& batch) const;

 private:
  void hide(data::Batch& batch, std::int64_t row, std::int64_t kept_steps) const;

  double share_;
  std::uint64_t key_;
  std::int64_t context_, past_numeric_, past_categorical_, statics_;
  std::optional<std::int64_t> item_;  // its place among the statics
};

}  // namespace shelfcast::trainer
