// Demand that a stock-out hid: what it may have been, given that it exceeded what was sold.
#pragma once

#include <torch/types.h>

#include <vector>

namespace shelfcast::models {

inline constexpr std::int64_t kHiddenDemands = 8;

// For each of n censored cells kHiddenDemands equally likely demands above `bound_n`, ascending, [n, k]:
// points of the forecast distribution with quantiles `quantiles_nq` at `levels`, given that demand exceeds
// the bound. The expectation step of self-consistent estimation (Efron, "The two sample problem with censored
// data", 1967; Portnoy, "Censored regression quantiles", 2003). Between quantiles the distribution is linear,
// beyond the outermost ones exponential. No gradient flows through the result. With a single level nothing is
// known of the tail: the larger of bound and quantile.
at::Tensor demands_above(const at::Tensor& quantiles_nq, const std::vector<double>& levels,
                         const at::Tensor& bound_n);

}  // namespace shelfcast::models
