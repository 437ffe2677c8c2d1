#include "eval/baselines/filled_history.h"

#include <algorithm>
#include <cmath>

namespace shelfcast::eval {

FilledHistory::FilledHistory(std::span<const float> demand, std::int64_t season, SeasonalGaps gaps) {
  const auto first = std::ranges::find_if(demand, [](float value) { return !std::isnan(value); });
  first_ = first - demand.begin();
  observed_.assign(first, demand.end());
  filled_.reserve(observed_.size());
  const auto back = gaps == SeasonalGaps::last_season ? static_cast<std::size_t>(season) : 1;
  for (const float value : observed_) {
    const std::size_t t = filled_.size();
    filled_.push_back(!std::isnan(value) ? static_cast<double>(value)
                      : t >= back        ? filled_[t - back]
                                         : filled_[t - 1]);
  }
}

History FilledHistory::before(std::int64_t origin) const {
  const auto length =
      static_cast<std::size_t>(std::clamp<std::int64_t>(origin - first_, 0, std::ssize(filled_)));
  return {std::span(observed_).first(length), std::span(filled_).first(length)};
}

}  // namespace shelfcast::eval
