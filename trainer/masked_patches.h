// Patches of a history that are hidden while it is trained on, for a model that learns to fill them in: from
// windows whose targets nobody knows, too (masked-patch training; Nie et al., 2023).
#pragma once

#include <cstdint>
#include <vector>

#include "data/batch.h"

namespace shelfcast::trainer {

class MaskedPatches {
 public:
  // `share` of the patches of `patch` steps in the last `read` of `context` steps.
  MaskedPatches(double share, std::uint64_t seed, std::int64_t context, std::int64_t read,
                std::int64_t patch);

  // Hides patches of every window, drawn by (seed, step, sample), whatever rank or micro-batch it is in; none
  // where nothing observed would be left. `hidden_bt` [b, t]: what was hidden, NaN = nothing there.
  void hide(data::Batch& batch, std::int64_t step, std::vector<float>& hidden_bt) const;

 private:
  double share_;
  std::uint64_t key_;
  std::int64_t context_, read_, patch_;
};

}  // namespace shelfcast::trainer
