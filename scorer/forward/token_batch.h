// Tokens of several series, as towers read them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "scorer/forward/ops.h"

namespace shelfcast::scorer {

// Token rows computed together: enough for full speed, few enough to stay near the caches.
constexpr std::int64_t kRowsTogether = 264;

// One series after the other. Patches without any observation are left out: nothing attends to them, so they
// never reach a forecast, and young series cost less.
struct TokenBatch {
  struct Span {
    std::int64_t first_row = 0, tokens = 0;
    bool unattended =
        false;  // no token is attended (all missing and no REG): attention is then uniform over all
  };
  std::vector<Span> series;
  std::vector<std::int32_t> position;  // [rows], ascending within a series
  std::vector<std::int64_t> reg;       // rows of REG tokens
  Floats x;                            // [rows, d_model]

  std::int64_t rows() const { return static_cast<std::int64_t>(position.size()); }
  void clear() {
    series.clear();
    position.clear();
    reg.clear();
  }
};

// Calls work(first, count) for slices of at most kRowsTogether of `rows` rows.
template <typename Work>
void by_slices(std::int64_t rows, const Work& work) {
  for (std::int64_t first = 0; first < rows; first += kRowsTogether)
    work(first, std::min(kRowsTogether, rows - first));
}

}  // namespace shelfcast::scorer
