// A series' past as the statistical baselines see it: from its first observation on, with and without gaps.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "eval/config.h"

namespace shelfcast::eval {

// The history before one origin; both views start at the first observation and have the same length, which is
// 0 when nothing was observed. Does not own its values.
struct History {
  std::span<const float> observed;  // NaN = not observed
  std::span<const double> filled;   // no gaps
};

// One series with its gaps filled. A missing step takes the value one season before it (`last_season`),
// itself perhaps filled, or the value before it (`last_value`, and wherever there is no season before it);
// missing steps before the first observation are dropped. A filled value depends on nothing after it, so the
// histories before all origins are prefixes of one filling.
class FilledHistory {
 public:
  FilledHistory(std::span<const float> demand, std::int64_t season, SeasonalGaps gaps);

  // What was before step `origin` of `demand`.
  History before(std::int64_t origin) const;

 private:
  std::vector<float> observed_;
  std::int64_t first_ = 0;  // step of the first observation
  std::vector<double> filled_;
};

}  // namespace shelfcast::eval
