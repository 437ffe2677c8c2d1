// What the published models' benchmarks share: demand without covariates, 512 steps back and 64 ahead.
#pragma once

#include "data/features.h"

namespace shelfcast::bench {

constexpr std::int64_t kContext = 512, kHorizon = 64;

inline data::FeatureSpec demand_alone() {
  data::FeatureSpec spec;
  spec.context = kContext;
  spec.horizon = kHorizon;
  return spec;
}

}  // namespace shelfcast::bench
